package docker

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// forms are the ways in which Compose lets people write the same things, each
// the keys of one service.
func forms() []string {
	return []string{
		`command: serve --price '$$5' "a b"`,
		`command: ""`,
		`entrypoint: ["/tool", "args"]`,
		`{entrypoint: /tool args, command: [x]}`,
		`environment: [A=1, "B=two=2", C=]`,
		`environment: {A: 1, B: "true", C: 1.5, E: "x y"}`,
		`labels: [com.example.a=b, com.example.empty]`,
		`labels: {com.example.n: 5, com.example.e: ""}`,
		`healthcheck: {test: [CMD, /tool, healthy], interval: 1m30s}`,
		`healthcheck: {test: [CMD-SHELL, "a && b"], retries: 1}`,
		`healthcheck: {test: [NONE]}`,
		`healthcheck: {disable: true}`,
		`healthcheck: {interval: 90s, timeout: 2s500ms}`,
		`healthcheck: {test: "a || exit 1", start_period: 1h}`,
		`ulimits: {nofile: 1024, core: 0}`,
		`ulimits: {nofile: {soft: 10, hard: 20}, memlock: -1}`,
		`{mem_limit: 1gb, memswap_limit: -1, mem_swappiness: 0}`,
		`{mem_limit: 65536k, mem_reservation: "33554432", memswap_limit: 65536k}`,
		`cpus: 1.25`,
		`{cpu_quota: 50000, cpu_period: 100000, cpu_shares: 73, cpuset: "0,1"}`,
		`pids_limit: -1`,
		`deploy: {resources: {limits: {memory: 64m, cpus: "0.25"}, reservations: {memory: 32M}}}`,
		`shm_size: 67108864`,
		`init: false`,
		`{tty: true, stdin_open: true}`,
		`extra_hosts: {a: 10.1.2.3, b: 10.1.2.4}`,
		`{dns: 9.9.9.9, dns_search: example.org}`,
		`sysctls: [net.core.somaxconn=1024, net.ipv4.tcp_syncookies=0]`,
		`tmpfs: /run`,
		`tmpfs: ["/run:size=64m,mode=755,exec", /tmp]`,
		`expose: ["8080", "9000-9002"]`,
		`{stop_grace_period: 1m30s, stop_signal: SIGUSR1}`,
		`{user: "1000", working_dir: /a/b, group_add: ["1001", daemon]}`,
		`{hostname: shop.example.org, domainname: example.org}`,
		`logging: {driver: local, options: {max-size: 5m}}`,
		`logging: {driver: none}`,
		`logging: {driver: syslog, options: {syslog-address: "udp://127.0.0.1:9", tag: a}}`,
		`{read_only: true, cap_drop: [ALL], cap_add: [CHOWN, NET_BIND_SERVICE]}`,
		`security_opt: ["apparmor:unconfined", seccomp=unconfined]`,
		`{pid: host, ipc: host}`,
		`{privileged: true, userns_mode: host}`,
		`devices: ["/dev/null:/dev/nothing:r", /dev/zero]`,
		`device_cgroup_rules: ["c 1:3 r"]`,
		`{oom_score_adj: 500, oom_kill_disable: true}`,
		`{cgroup_parent: /batch, runtime: runc}`,
		`blkio_config: {weight: 300}`,
		`ipc: private`,
	}
}

// formsFile is one service for each of the forms; image is what they run.
func formsFile(image string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "services:\n  web: {image: %s}\n", image)
	for i, form := range forms() {
		if !strings.HasPrefix(form, "{") {
			form = "{" + form + "}"
		}
		fmt.Fprintf(&b, "  s%02d:\n    <<: %s\n    image: %s\n", i, form, image)
	}
	return b.String()
}

// differs lists the fields in which two containers differ, besides those that
// are meant to.
func differs(theirs, ours map[string]string, meant []string) []string {
	var out []string
	for _, field := range fields(theirs, ours) {
		if _, known := intended()[field]; !known && !slices.Contains(meant, field) && theirs[field] != ours[field] {
			out = append(out, fmt.Sprintf("%s: Compose has %s, we have %s", field, theirs[field], ours[field]))
		}
	}
	return out
}

func TestEnsure_TakesEveryFormAsDockerComposeDoes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	image := "forms-" + w.installation + ":1"
	if err := w.api.ImageTag(t.Context(), w.image, image); err != nil {
		t.Fatal(err)
	}
	file := formsFile(image)
	theirs := w.composeAll(map[string]string{"compose.yml": file}, "--compatibility")
	loaded := loadAll(t, file, nil)
	if len(loaded.Services) != len(theirs) || len(theirs) != len(forms())+1 {
		t.Fatalf("%d services are %d for Compose and %d for us", len(forms())+1, len(theirs), len(loaded.Services))
	}
	for i, svc := range loaded.Services {
		o := w.order("d1", byte(10+i))
		o.Service, o.Owner.Service = svc, svc.Name
		o.Allowed = words(svc.Permissions())
		ours := w.details(w.ensure(o).ID)
		meant := []string{}
		if svc.Log == nil {
			meant = append(meant, "HostConfig.LogConfig") // ours has limits
		}
		form := "nothing"
		if svc.Name != "web" {
			form = forms()[i]
		} else {
			meant = append(meant, "Config.ExposedPorts") // the route's
		}
		if ours["Config.StopTimeout"] == "10" {
			meant = append(meant, "Config.StopTimeout") // what it is without a word
		}
		for _, said := range differs(theirs[svc.Name], ours, meant) {
			t.Errorf("%s: %s", form, said)
		}
		theirs[svc.Name]["Config.Cmd"] = "another"
		if differs(theirs[svc.Name], ours, meant) == nil {
			t.Errorf("%s: another command was not seen", form)
		}
	}
}

func words(permissions []stack.Permission) []string {
	var out []string
	for _, p := range permissions {
		out = append(out, string(p))
	}
	return out
}

// loadAll is the stack as our own loader reads it, with whatever it asks for.
// Files are those of the commit.
func loadAll(t *testing.T, file string, files map[string]string) stack.Stack {
	t.Helper()
	in := stack.Input{
		App: "shop", Files: []stack.File{{Path: "compose.yml", Content: []byte(file)}},
		Routes: []stack.Route{{Host: "example.org", Service: "web", Port: 8080}},
		Read: func(name string) ([]byte, error) {
			if content, ok := files[name]; ok {
				return []byte(content), nil
			}
			return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		},
		Find: func(name string) (stack.Found, error) {
			if _, ok := files[name]; ok {
				return stack.Found{}, nil
			}
			for other := range maps.Keys(files) {
				if strings.HasPrefix(other, name+"/") {
					return stack.Found{Folder: true}, nil
				}
			}
			return stack.Found{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		},
	}
	in.Allowed = missing(t, in)
	got, err := stack.Load(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDiffers_SeesWhatIsNotMeant(t *testing.T) {
	t.Parallel()
	a, b := map[string]string{"Config.A": "1", "Config.B": "1", "Config.Image": "x"}, map[string]string{"Config.A": "2", "Config.C": "1", "Config.Image": "y"}
	want := []string{"Config.B: Compose has 1, we have ", "Config.C: Compose has , we have 1"}
	if diff := cmp.Diff(want, differs(a, b, []string{"Config.A"})); diff != "" {
		t.Error(diff)
	}
}
