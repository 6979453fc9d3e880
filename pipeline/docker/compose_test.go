package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/strslice"
	"github.com/docker/docker/api/types/volume"
	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// sameFile is brought up by Docker Compose and by us.
const sameFile = `services:
  web:
    image: IMAGE
    command: ["serve", "--price", "$$5"]
    entrypoint: /tool
    environment: {B: two, A: "1", EMPTY: ""}
    labels: {com.example.team: shop}
    user: "0:0"
    working_dir: /srv
    hostname: shop
    domainname: example.org
    extra_hosts: ["a:10.1.2.3", "gateway:host-gateway"]
    dns: [9.9.9.9, 1.1.1.1]
    dns_search: [example.org]
    dns_opt: ["ndots:2"]
    ulimits: {nproc: 65535, nofile: {soft: 2000, hard: 4000}}
    sysctls: {net.core.somaxconn: 1024}
    shm_size: 96m
    read_only: true
    cap_drop: [NET_RAW, CHOWN]
    group_add: ["1000"]
    tty: true
    stdin_open: true
    init: true
    tmpfs: ["/run:size=64m", "/tmp"]
    expose: ["8080", "9000"]
    stop_signal: SIGINT
    stop_grace_period: 15s
    healthcheck: {test: /tool healthy, interval: 10s, timeout: 3s, retries: 4, start_period: 1m}
    logging: {driver: json-file, options: {max-size: 5m, max-file: "2"}}
    mem_limit: 256m
    mem_reservation: 128m
    memswap_limit: 512m
    cpus: 0.5
    cpu_shares: 512
    cpuset: "0"
    pids_limit: 100
    restart: unless-stopped
`

// intended lists the fields in which our container is another one than
// Compose's, and why.
func intended() map[string]string {
	return map[string]string{
		"Config.Hostname":          "ours is a name on networks, which the live color alone answers to",
		"Config.Image":             "ours is made from the image's ID, which no tag can move",
		"HostConfig.NetworkMode":   "each has its own networks",
		"HostConfig.RestartPolicy": "ours follows what visitors are on",
		"HostConfig.SecurityOpt":   "ours never gains privileges",
	}
}

func TestEnsure_MakesTheContainerThatDockerComposeMakes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	image := "same-" + w.installation + ":1"
	if err := w.api.ImageTag(t.Context(), w.image, image); err != nil {
		t.Fatal(err)
	}
	file := strings.ReplaceAll(sameFile, "IMAGE", image)
	theirs := w.composeUp(file)
	o := w.order("d1", 10)
	o.Service = loadWeb(t, file)
	ours := w.details(w.ensure(o).ID)
	checkSame(t, theirs, ours)

	// The comparison must see what it is there for.
	o.Owner.Deployment, o.Service.Settings.ShmSize = "d2", 1<<20
	o.Edge.Address = addressAt(w.edge.Subnet, 11)
	probe := &testing.T{}
	checkSame(probe, theirs, w.details(w.ensure(o).ID))
	if !probe.Failed() {
		t.Error("another size of the shared memory was not seen")
	}
}

// checkSame compares field by field. A difference that is listed must be there.
func checkSame(t *testing.T, theirs, ours map[string]string) {
	t.Helper()
	listed := intended()
	for _, field := range fields(theirs, ours) {
		_, known := listed[field]
		switch same := theirs[field] == ours[field]; {
		case !same && !known:
			t.Errorf("%s: Compose has %s, we have %s", field, theirs[field], ours[field])
		case same && known:
			t.Errorf("%s is %s for both, and listed as another one", field, ours[field])
		}
	}
}

func fields(all ...map[string]string) []string {
	var out []string
	for _, m := range all {
		for field := range m {
			out = append(out, field)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestCheckSame_SeesEveryKindOfDifference(t *testing.T) {
	t.Parallel()
	good := map[string]string{"Config.A": "1"}
	theirs := map[string]string{"Config.A": "1"}
	for field := range intended() {
		good[field], theirs[field] = "ours", "theirs"
	}
	checkSame(t, theirs, good)
	for name, spoil := range map[string]func(map[string]string){
		"other":   func(m map[string]string) { m["Config.A"] = "2" },
		"missing": func(m map[string]string) { delete(m, "Config.A") },
		"more":    func(m map[string]string) { m["HostConfig.Privileged"] = "true" },
		"stale":   func(m map[string]string) { m["Config.Image"] = "theirs" },
	} {
		bad := map[string]string{}
		for field, value := range good {
			bad[field] = value
		}
		spoil(bad)
		probe := &testing.T{}
		checkSame(probe, theirs, bad)
		if !probe.Failed() {
			t.Errorf("%s: not seen in %s", name, cmp.Diff(theirs, bad))
		}
	}
}

// loadWeb is the service as our own loader reads it.
func loadWeb(t *testing.T, file string) stack.Service {
	t.Helper()
	got, err := stack.Load(t.Context(), stack.Input{
		App: "shop", Files: []stack.File{{Path: "compose.yml", Content: []byte(file)}},
		Routes: []stack.Route{{Host: "example.org", Service: "web", Port: 8080}},
		Read:   func(name string) ([]byte, error) { return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return got.Services[0]
}

// composeUp has Docker Compose create the file's only container.
func (w *world) composeUp(file string) map[string]string {
	w.t.Helper()
	made := w.composeAll(map[string]string{"compose.yml": file})
	if len(made) != 1 {
		w.t.Fatalf("%d containers", len(made))
	}
	return made["web"]
}

// composeAll has Docker Compose create the containers of compose.yml, among
// further files, and says how they are, by service.
func (w *world) composeAll(files map[string]string, options ...string) map[string]map[string]string {
	w.t.Helper()
	out := map[string]map[string]string{}
	for service, id := range w.compose(files, options, "--no-start") {
		out[service] = w.details(id)
	}
	return out
}

// compose runs Docker Compose's up and returns the containers' ids by service.
func (w *world) compose(files map[string]string, options []string, up ...string) map[string]string {
	w.t.Helper()
	dir := w.t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			w.t.Fatal(err)
		}
	}
	project := "same" + w.installation
	mine := filters.NewArgs(filters.Arg("label", "com.docker.compose.project="+project))
	w.t.Cleanup(func() { w.composeDown(mine) })
	args := slices.Concat(options, []string{"-p", project, "-f", filepath.Join(dir, "compose.yml"), "up"}, up)
	command := exec.CommandContext(w.t.Context(), "docker-compose", args...)
	if text, err := command.CombinedOutput(); err != nil {
		w.t.Fatalf("docker-compose: %v\n%s", err, text)
	}
	made, err := w.api.ContainerList(w.t.Context(), container.ListOptions{All: true, Filters: mine})
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range made {
		out[c.Labels["com.docker.compose.service"]] = c.ID
	}
	return out
}

func (w *world) composeDown(mine filters.Args) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	made, err := w.api.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	if err != nil {
		w.t.Error(err)
	}
	for _, c := range made {
		if err := w.api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			w.t.Error(err)
		}
	}
	volumes, err := w.api.VolumeList(ctx, volume.ListOptions{Filters: mine})
	if err != nil {
		w.t.Error(err)
	}
	for _, v := range volumes.Volumes {
		if err := w.api.VolumeRemove(ctx, v.Name, true); err != nil {
			w.t.Error(err)
		}
	}
	networks, err := w.api.NetworkList(ctx, network.ListOptions{Filters: mine})
	if err != nil {
		w.t.Error(err)
	}
	for _, n := range networks {
		if err := w.api.NetworkRemove(ctx, n.ID); err != nil {
			w.t.Error(err)
		}
	}
}

// details are the fields of Config and HostConfig as JSON, without empty ones,
// without the labels of whoever made the container, and with lists in order
// whose order means nothing.
func (w *world) details(id string) map[string]string {
	w.t.Helper()
	c, err := w.api.ContainerInspect(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	for label := range c.Config.Labels {
		if strings.HasPrefix(label, "com.docker.compose.") || strings.HasPrefix(label, labelPrefix) {
			delete(c.Config.Labels, label)
		}
	}
	slices.Sort(c.Config.Env)
	if strings.HasPrefix(c.ID, c.Config.Hostname) {
		c.Config.Hostname = "" // the engine's choice
	}
	for _, capabilities := range []strslice.StrSlice{c.HostConfig.CapDrop, c.HostConfig.CapAdd} {
		for i, name := range capabilities {
			capabilities[i] = strings.TrimPrefix(name, "CAP_") // the same capability either way
		}
		slices.Sort(capabilities)
	}
	slices.Sort(c.HostConfig.ExtraHosts)
	slices.SortFunc(c.HostConfig.Ulimits, func(a, b *container.Ulimit) int { return strings.Compare(a.Name, b.Name) })
	out := map[string]string{}
	for name, part := range map[string]any{"Config": c.Config, "HostConfig": c.HostConfig} {
		raw, err := json.Marshal(part)
		if err != nil {
			w.t.Fatal(err)
		}
		var values map[string]json.RawMessage
		if err := json.Unmarshal(raw, &values); err != nil {
			w.t.Fatal(err)
		}
		for field, value := range values {
			if text := string(value); !slices.Contains([]string{"null", "[]", "{}", `""`, "0", "false"}, text) {
				out[name+"."+field] = text
			}
		}
	}
	return out
}
