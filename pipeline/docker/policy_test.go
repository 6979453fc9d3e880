package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// askings are ways to write each key that reaches for the host, and some that do
// not.
func askings() map[string][]string {
	return map[string][]string{
		"privileged":          {"true", `"true"`, "${YES}", "false"},
		"cap_add":             {"[NET_ADMIN]", "[CAP_SYS_ADMIN, net_raw]", `["${CAP:-ALL}"]`, "[]"},
		"cap_drop":            {"[ALL]", "[MKNOD]"},
		"devices":             {"[/dev/fuse]", `["/dev/fuse:/dev/x:r"]`, "[{source: /dev/snd, target: /dev/snd, permissions: rw}]", `["/dev/../dev/mem:/dev/m"]`},
		"device_cgroup_rules": {`["c 1:3 r"]`, `["a *:* rwm"]`},
		"gpus":                {"all", "[{count: 2}]", "[{driver: nvidia, count: all, capabilities: [gpu]}]"},
		"security_opt":        {"[seccomp=unconfined]", `["seccomp:unconfined"]`, `["no-new-privileges:false"]`, "[apparmor=unconfined, label=disable]", "[systempaths=unconfined]", "[no-new-privileges]"},
		"network_mode":        {"host", "none", "${MODE}"},
		"pid":                 {"host", "${MODE}"},
		"ipc":                 {"host", "private", "none"},
		"uts":                 {"host"},
		"userns_mode":         {"host"},
		"cgroup":              {"host", "private"},
		"cgroup_parent":       {"/batch", "system.slice"},
		"runtime":             {"nvidia", "io.containerd.runc.v2"},
		"oom_score_adj":       {"-500", "500"},
		"oom_kill_disable":    {"true", "${YES}"},
		"use_api_socket":      {"true"},
		"ports":               {`["5432:5432"]`, `["127.0.0.1:53:53/udp", "8080"]`, "[{target: 90, published: 91, host_ip: 10.0.0.1}]", `["7000-7001:70-71"]`, `["[::1]:99:98"]`, `["${PORT}:1"]`},
		"volumes": {
			"[/etc:/e]", "[/etc/:/e:ro]", "[/srv/a:/a:Z]", "[/srv/a:/a:ro,z]", "[/srv/b:/b:ro,rshared]", "[./data:/d]",
			"[{type: bind, source: /var/run/docker.sock, target: /s, read_only: true}]", `["${FOLDER}:/f"]`, "[{type: bind, source: /srv/c, target: /c, bind: {propagation: rslave}}]",
			"[disk:/disk]", "[share:/share:ro]", "[plugin:/plugin]", "[scratch:/scratch, plain:/plain:z]", "[{type: tmpfs, target: /t}]",
			"[bank:/bank]", "[{type: volume, source: theirs, target: /theirs, read_only: true}]",
		},
		"networks":  {"[default]", "[outer]", "[default, outer]", "{outer: {aliases: [x]}}"},
		"tmpfs":     {"/tmp", "['/run:size=64m,exec']"},
		"mem_limit": {"64m"},
		"init":      {"true"},
		"logging": {
			"{driver: json-file}", "{driver: syslog}", "{driver: fluentd, options: {fluentd-address: 'unix:///run/docker.sock'}}", "{driver: '${LOG:-gelf}', options: {gelf-address: 'udp://10.0.0.9:1'}}",
			"{driver: loki, options: {loki-url: 'http://10.0.0.9/x'}}", "{driver: splunk, options: {splunk-token: a, splunk-url: 'https://10.0.0.9'}}", "{options: {tag: a}}",
		},
		"sysctls": {"{net.core.somaxconn: 1024}", "{kernel.shmmax: 1}"},
	}
}

// hopeless are ways for which there is no permission.
func hopeless() map[string][]string {
	return map[string][]string{
		"cap_add":       {"[A B]"},
		"devices":       {"[vendor.com/class=a]"},
		"gpus":          {`[{device_ids: ["0"]}]`},
		"security_opt":  {"[seccomp=./x.json]", "[other=1]"},
		"network_mode":  {"service:db", "container:abc", "bridge"},
		"pid":           {"service:db", "container:abc"},
		"ipc":           {"shareable", "service:db"},
		"userns_mode":   {"keep-id"},
		"runtime":       {"../x"},
		"oom_score_adj": {"5000"},
		"volumes": {
			"[~/x:/x]", "[../x:/x]", `["/srv/x:ro:/y"]`, `[{type: bind, source: "/srv/x:ro", target: /y}]`, "[{type: npipe, source: a, target: /b}]",
			"[{type: image, source: x, target: /y}]",
		},
		"networks":     {"[hosts]"},
		"sysctls":      {"{kernel.core_pattern: x}"},
		"tmpfs":        {"['/run:bind']"},
		"logging":      {"{driver: syslog, options: {syslog-tls-key: /root/.ssh/id_rsa}}", "{driver: splunk, options: {splunk-capath: /etc/shadow}}", "{driver: a b}"},
		"volumes_from": {"[db]"},
	}
}

// wish is one of the ways to ask for something.
func wish(r *rand.Rand) (key, value string) {
	all := askings()
	if r.IntN(40) == 0 {
		all = hopeless()
	}
	keys := slices.Sorted(maps.Keys(all))
	key = keys[r.IntN(len(keys))]
	return key, all[key][r.IntN(len(all[key]))]
}

const common = `
volumes:
  plain: {}
  disk: {driver_opts: {type: none, o: bind, device: "${FOLDER}"}}
  share: {driver_opts: {type: nfs, o: "addr=10.0.0.2,rw", device: ":/export"}}
  scratch: {driver_opts: {type: tmpfs, o: size=64m, device: tmpfs}}
  plugin: {driver: rexray}
  bank: {external: true}
  theirs: {external: true, name: customers_data}
networks:
  outer: {external: true, name: monitoring}
  hosts: {external: true, name: host}
`

// randomFiles writes the same wishes in one of the ways in which Compose merges
// them: in the service, by an anchor, a merge key, extends of a service or a
// file, a second file and an overlay.
func randomFiles(r *rand.Rand) stack.Input {
	main, other, second, overlay := strings.Builder{}, strings.Builder{}, strings.Builder{}, strings.Builder{}
	anchors := strings.Builder{}
	main.WriteString("services:\n")
	other.WriteString("services:\n")
	for _, part := range []*strings.Builder{&second, &overlay} {
		part.WriteString("x-nothing: 1\nservices:\n")
	}
	for _, name := range []string{"web", "db", "job"} {
		places := []*strings.Builder{{}, {}, {}, {}, {}} // service, anchor, extended, second file, overlay
		for range r.IntN(5) {
			key, value := wish(r)
			where := places[r.IntN(len(places))]
			if strings.Contains(where.String(), " "+key+":") {
				continue
			}
			tag := ""
			if (where == places[3] || where == places[4]) && r.IntN(3) == 0 {
				tag = []string{"!override ", "!reset "}[r.IntN(2)]
			}
			fmt.Fprintf(where, "    %s: %s%s\n", key, tag, value)
		}
		fmt.Fprintf(&anchors, "x-%s: &%s\n    labels: {a: b}\n%s", name, name, places[1])
		fmt.Fprintf(&main, "  %s:\n    <<: *%s\n    image: postgres\n    x-swingbridge: {role: %s}\n%s", name, name,
			map[string]string{"web": "web", "db": "keep", "job": "worker"}[name], places[0])
		if places[2].Len() > 0 {
			fmt.Fprintf(&main, "    extends: {file: other.yml, service: %s}\n", name)
			fmt.Fprintf(&other, "  %s:\n    init: false\n%s", name, places[2])
		}
		fmt.Fprintf(&second, "  %s:\n    labels: {c: d}\n%s", name, places[3])
		fmt.Fprintf(&overlay, "  %s:\n    labels: {e: f}\n%s", name, places[4])
	}
	return inputOf(anchors.String()+main.String()+common, second.String(), overlay.String(), other.String())
}

func inputOf(main, second, overlay, other string) stack.Input {
	return stack.Input{
		App: "shop", Overlay: overlay,
		Files:  []stack.File{{Path: "compose.yml", Content: []byte(main)}, {Path: "second.yml", Content: []byte(second)}},
		Env:    map[string]string{"YES": "true", "MODE": "host", "FOLDER": "/srv/folder", "PORT": "81"},
		Routes: []stack.Route{{Host: "shop.example.org", Service: "web", Port: 8000}},
		Read: func(name string) ([]byte, error) {
			if name == "other.yml" {
				return []byte(other), nil
			}
			return nil, fs.ErrNotExist
		},
	}
}

// ordersOf are the orders for the containers of a stack.
func ordersOf(s stack.Stack, allowed []string) []pipeline.ContainerOrder {
	var out []pipeline.ContainerOrder
	for _, svc := range s.Services {
		o := pipeline.ContainerOrder{
			Owner: pipeline.Owner{App: "shop", AppID: "1", Service: svc.Name, Color: pipeline.Blue, Deployment: "d1", Role: svc.Role},
			Image: "sha256:1", Service: svc, Volumes: s.Volumes, Allowed: allowed,
		}
		if svc.Role == stack.Keep {
			o.Fingerprint, o.Owner.Color, o.Owner.Deployment = "f1", "", ""
		}
		o.Service.Mounts = slices.Clone(svc.Mounts)
		for i, m := range o.Service.Mounts {
			if m.Bind != nil && m.Bind.Host == "" {
				b := *m.Bind
				b.Placed = "/srv/apps/1/data/x"
				o.Service.Mounts[i].Bind = &b
			}
		}
		if !slices.Contains(svc.Rights.Host, "network") && svc.Rights.Other["network"] == "" {
			o.Links = linksOf(s, svc)
		}
		out = append(out, o)
	}
	return out
}

func linksOf(s stack.Stack, svc stack.Service) []pipeline.Link {
	links := []pipeline.Link{{Network: "swingbridge-shop-abc123"}}
	for _, j := range svc.Networks {
		for _, n := range s.Networks {
			if n.Name == j.Network && n.External != "" {
				links = append(links, pipeline.Link{Network: n.External, External: true})
			}
		}
	}
	return links
}

// missing are the permissions without which the files are refused; nil if
// something else is wrong with them too.
func missing(t testing.TB, in stack.Input) []string {
	t.Helper()
	in.Allowed = nil
	_, err := stack.Load(t.Context(), in)
	var refusal *stack.Refusal
	if !errors.As(err, &refusal) || !refusal.OnlyMissing() {
		return nil
	}
	var out []string
	for _, p := range refusal.Missing() {
		out = append(out, strings.ReplaceAll(string(p), "${FOLDER}", "/srv/folder"))
	}
	return out
}

func TestPolicy_WhateverIsDecodedNothingIsThereThatWasNotAllowed(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	through, refused, noticed := 0, 0, 0
	for range 300 {
		in := randomFiles(r)
		want := missing(t, in)
		for _, p := range want {
			if r.IntN(12) > 0 {
				in.Allowed = append(in.Allowed, p)
			}
		}
		s, err := stack.Load(t.Context(), in)
		for _, o := range ordersOf(s, in.Allowed) { // also of a stack that came with a refusal
			made, specErr := offline().newSpec(o, nil)
			if specErr != nil {
				refused++
				continue
			}
			if said := overreach(made, o); said != nil {
				t.Fatalf("%s of %s\n%s\n%s\n%s", said, o.Service.Name, in.Files[0].Content, in.Files[1].Content, in.Overlay)
			}
			through++
			if o.Allowed = nil; overreach(made, o) != nil {
				noticed++ // what a broken check would have let through
			}
		}
		if err == nil && len(stack.Missing(in.Allowed, s.Permissions())) > 0 {
			t.Fatalf("loaded without %v\n%s", stack.Missing(in.Allowed, s.Permissions()), in.Files[0].Content)
		}
	}
	if through < 300 || refused < 20 || noticed < 150 {
		t.Errorf("%d got through, %d were refused, %d had rights: the property says little", through, refused, noticed)
	}
}

// Each right is noticed that comes without its permission.
func TestPolicy_TheWitnessNotices(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*spec){
		"bind":       func(s *spec) { s.Host.Binds = []string{"/:/host:z"} },
		"mount":      func(s *spec) { s.Host.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: "/etc"}} },
		"written":    func(s *spec) { s.Host.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: "/srv/read"}} },
		"capability": func(s *spec) { s.Host.CapAdd = []string{"SYS_ADMIN"} },
		"privileged": func(s *spec) { s.Host.Privileged = true },
		"device": func(s *spec) {
			s.Host.Devices = []container.DeviceMapping{{PathOnHost: "/dev/sda", CgroupPermissions: "r"}}
		},
		"access": func(s *spec) {
			s.Host.Devices = []container.DeviceMapping{{PathOnHost: "/dev/x", CgroupPermissions: "rw"}}
		},
		"gpus":         func(s *spec) { s.Host.DeviceRequests = []container.DeviceRequest{{Count: 1}} },
		"port":         func(s *spec) { _ = publish(s.Config, s.Host, stack.Port{Container: 1, Host: 22, Protocol: "tcp"}) },
		"host network": func(s *spec) { s.Host.NetworkMode = "host" },
		"other's":      func(s *spec) { s.Host.PidMode = "container:abc" },
		"network":      func(s *spec) { s.Rest = []link{{Network: "lan"}} },
		"security":     func(s *spec) { s.Host.SecurityOpt = nil },
		"paths":        func(s *spec) { s.Host.MaskedPaths = []string{} },
		"disk":         func(s *spec) { s.Host.VolumesFrom = []string{"db"} },
		"weight":       func(s *spec) { s.Host.CPURealtimeRuntime = 1 },
		"log":          func(s *spec) { s.Host.LogConfig = container.LogConfig{Type: "syslog"} },
		"log file": func(s *spec) {
			s.Host.LogConfig = container.LogConfig{Type: "gelf", Config: map[string]string{"x": "/etc/shadow"}}
		},
		"log socket": func(s *spec) {
			s.Host.LogConfig = container.LogConfig{Type: "gelf", Config: map[string]string{"fluentd-address": "unix:///run/docker.sock"}}
		},
		"tmpfs":  func(s *spec) { s.Host.Tmpfs = map[string]string{"/t": "size=1m,bind"} },
		"sysctl": func(s *spec) { s.Host.Sysctls = map[string]string{"kernel.core_pattern": "|/x"} },
		"host's": func(s *spec) {
			s.Host.IpcMode, s.Host.Sysctls = "host", map[string]string{"kernel.shmmax": "1"}
		},
		"label":     func(s *spec) { s.Config.Labels["dev.swingbridge.other"] = "x" },
		"other app": func(s *spec) { s.Config.Labels["dev.swingbridge.app_id"] = "2" },
		"config":    func(s *spec) { s.Config.Volumes = map[string]struct{}{"/x": {}} },
	} {
		o := goodOrder()
		s, err := offline().newSpec(o, nil)
		if err != nil {
			t.Fatal(err)
		}
		o.Allowed = []string{"bind:/srv/read:ro", "device:/dev/x:r", "gpus:all", "port:127.0.0.1:22", "cap:NET_ADMIN", "host:ipc", "log:gelf"}
		if said := overreach(s, o); said != nil {
			t.Errorf("%s: %s before anything is wrong", name, said)
		}
		if spoil(&s); overreach(s, o) == nil {
			t.Errorf("%s was not noticed", name)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 60 {
		in := randomFiles(r)
		other, _ := in.Read("other.yml")
		f.Add(string(in.Files[0].Content), string(in.Files[1].Content), in.Overlay, string(other), "privileged\nbind:/etc\nhost:pid")
		if want := missing(f, in); want != nil {
			f.Add(string(in.Files[0].Content), string(in.Files[1].Content), in.Overlay, string(other), strings.Join(want, "\n"))
		}
	}
	f.Fuzz(func(t *testing.T, main, second, overlay, other, allowed string) {
		in := inputOf(main, second, overlay, other)
		in.Allowed = strings.Split(allowed, "\n")
		s, err := stack.Load(t.Context(), in)
		if err != nil {
			return
		}
		words, _ := stack.ParsePermissions(nil)
		for _, word := range in.Allowed {
			if p, err := stack.ParsePermission(word); err == nil {
				words = append(words, p)
			}
		}
		for _, o := range ordersOf(s, in.Allowed) {
			made, err := offline().newSpec(o, nil)
			if err != nil {
				continue
			}
			o.Allowed = nil
			for _, word := range words {
				o.Allowed = append(o.Allowed, string(word))
			}
			if said := overreach(made, o); said != nil {
				t.Errorf("%s", said)
			}
		}
	})
}
