package docker

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func offline() *Engine { return &Engine{installation: "abc123", folders: "/srv/apps"} }

// ownPath reports whether a path is one of the app's own folders.
func ownPath(at string) bool {
	return path.Clean(at) == at && (strings.HasPrefix(at, "/srv/apps/1/data/") || strings.HasPrefix(at, "/srv/apps/1/files/"))
}

// checkSafe fails if the spec holds anything of the host. It works by taking
// away what is allowed: whatever is left is not, also what is invented later.
func checkSafe(t *testing.T, s spec) {
	t.Helper()
	for _, m := range s.Host.Mounts {
		named := m.Type == mount.TypeVolume && (m.Source == "" || isName(m.Source)) && m.BindOptions == nil && m.VolumeOptions.DriverConfig == nil
		if !named && (m.Type != mount.TypeBind || !ownPath(m.Source) || m.VolumeOptions != nil) {
			t.Errorf("mount %+v", m)
		}
	}
	for _, text := range s.Host.Binds {
		if parts := strings.Split(text, ":"); len(parts) != 3 || !ownPath(parts[0]) || !strings.HasPrefix(parts[1], "/") {
			t.Errorf("bind %q", text)
		}
	}
	if net := string(s.Host.NetworkMode); net != "none" && !offline().ourNetwork(net) {
		t.Errorf("network mode %q", net)
	}
	if log := s.Host.LogConfig; !slices.Contains([]string{"json-file", "local", "none", "journald"}, log.Type) {
		t.Errorf("log %+v", log)
	}
	host := *s.Host
	host.Binds, host.Mounts, host.NetworkMode, host.LogConfig, host.Tmpfs, host.Init = nil, nil, "", container.LogConfig{}, nil, nil
	host.Memory, host.MemoryReservation, host.NanoCPUs, host.PidsLimit = 0, 0, 0, nil
	checkOwn(t, s)
	host.MemorySwap, host.MemorySwappiness, host.CPUShares, host.CPUQuota, host.CPUPeriod, host.CpusetCpus, host.BlkioWeight = 0, nil, 0, 0, 0, "", 0
	host.ExtraHosts, host.DNS, host.DNSSearch, host.DNSOptions, host.Sysctls, host.Ulimits = nil, nil, nil, nil, nil, nil
	host.ShmSize, host.ReadonlyRootfs, host.CapDrop, host.GroupAdd = 0, false, nil, nil
	want := container.HostConfig{
		RestartPolicy: container.RestartPolicy{Name: "no"}, SecurityOpt: []string{"no-new-privileges:true"},
	}
	if !reflect.DeepEqual(want, host) {
		t.Errorf("the host's settings (-allowed +got):\n%s", cmp.Diff(want, host))
	}
	for key, value := range offline().ownerLabels(pipeline.ContainerOrder{}) {
		if got, ok := s.Config.Labels[key]; !ok || key == labelInstallation && got != value {
			t.Errorf("label %s is %q", key, got)
		}
	}
}

// checkOwn looks at settings that are fine only with certain values.
func checkOwn(t *testing.T, s spec) {
	t.Helper()
	for key := range s.Host.Sysctls {
		if !strings.HasPrefix(key, "net.") && !strings.HasPrefix(key, "fs.mqueue.") && !strings.HasPrefix(key, "kernel.shm") &&
			!strings.HasPrefix(key, "kernel.msg") && key != "kernel.sem" || strings.ContainsAny(key, "/ ") {
			t.Errorf("sysctl %q is the whole host's", key)
		}
	}
	for _, f := range s.Files {
		if !strings.HasPrefix(f.Target, "/") || slices.Contains(strings.Split(f.Target, "/"), "..") || f.Mode > 0o7777 {
			t.Errorf("file %q with mode %o", f.Target, f.Mode)
		}
	}
	for label := range s.Config.Labels {
		if strings.HasPrefix(label, labelPrefix) && !slices.Contains(ourLabels(), label) {
			t.Errorf("label %q", label)
		}
	}
}

func ourLabels() []string {
	return append(slices.Collect(maps.Keys(offline().ownerLabels(pipeline.ContainerOrder{}))), labelSpec)
}

// hostile is what somebody might write into a compose file, between what is fine.
func hostile() []string {
	return []string{
		"web", "web", "web", "data", "/data", "", "/", "/etc", "../../etc", "/var/run/docker.sock", "host", "container:abc", "bridge",
		"none", "swingbridge-edge-abc123", "swingbridge-edge-abc123", "swingbridge-shop-abc123", "swingbridge-edge-zzz999", "privileged", "bind",
		"size=1m", "/srv/apps/2/data/x", "/srv/apps/1/data/../../2/data/x", "/srv/apps/1/data", "/srv/apps/1/data/x:/y", "rbind,rshared", "o=bind", "local", "tmpfs", "a b", "a\x00b", "a\nb", "--privileged", "dev.swingbridge.app", "ÿ", "shop", "shop", "d1", "d1",
		"sha256:1234", "blue", "json-file", strings.Repeat("x", 300), "kernel.core_pattern", "net.core.somaxconn", "net./../kernel/core_pattern",
		"a:host-gateway", "a:b", "10.0.0.1", "ALL", "/run/../etc/passwd", "/run/secrets/a", "dev.swingbridge.spec",
	}
}

func randomOrder(r *rand.Rand) pipeline.ContainerOrder {
	words := hostile()
	word := func() string { return words[r.IntN(len(words))] }
	or := func(usual string) string { // mostly fine, or nothing would get through
		if r.IntN(12) > 0 {
			return usual
		}
		return word()
	}
	pairs := func() map[string]string {
		out := map[string]string{}
		for range r.IntN(8) / 6 {
			out[word()] = word()
		}
		return out
	}
	o := pipeline.ContainerOrder{
		Owner:   pipeline.Owner{App: or("shop"), AppID: or("1"), Service: or("web"), Color: pipeline.Color(or("blue")), Deployment: or("d1"), Commit: word()},
		Image:   or("sha256:1234"),
		Edge:    pipeline.Attachment{Network: or("swingbridge-edge-abc123"), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(r.Uint32())})},
		Links:   []pipeline.Link{{Network: or("swingbridge-shop-abc123")}},
		Replica: r.IntN(5) - 1 + r.IntN(2),
	}
	o.Service = stack.Service{
		Name: or("web"), Command: []string{word()}, Env: pairs(), User: word(), Labels: pairs(), StopSignal: word(), Tmpfs: pairs(),
		Expose: []int{r.IntN(65536)}, Limits: stack.Limits{Memory: r.Int64N(9) - 1, CPUs: r.Float64()}, Log: &stack.Log{Driver: or("json-file"), Options: pairs()},
	}
	o.Service.Settings = stack.Settings{
		Hostname: or("a"), Sysctls: pairs(), ExtraHosts: []string{or("a:10.0.0.1")}, DNS: []string{or("10.0.0.1")}, ReadOnly: r.IntN(2) == 0,
		CapDrop: []string{or("ALL")}, GroupAdd: []string{or("1000")}, Annotations: pairs(), ShmSize: r.Int64N(9) - 1, TTY: r.IntN(2) == 0,
		Ulimits: []stack.Ulimit{{Name: word(), Soft: 1, Hard: 2}},
	}
	if r.IntN(3) == 0 {
		o.Service.Files = []stack.Content{{Target: or("/run/secrets/a"), Data: []byte(word()), Mode: r.Uint32N(0o10100)}}
	}
	if r.IntN(2) == 0 {
		o.Service.Mounts = []stack.Mount{{Volume: or("data"), Target: or("/data"), ReadOnly: r.IntN(2) == 0}}
		v := stack.Volume{Name: or("data"), Driver: or(""), Labels: pairs(), External: or("")}
		if r.IntN(3) == 0 {
			v.Options = map[string]string{"type": or("tmpfs"), "o": or("size=1m"), "device": or("tmpfs")}
		}
		o.Volumes = []stack.Volume{v}
	}
	if r.IntN(2) == 0 {
		b := &stack.Bind{Placed: or("/srv/apps/1/data/media"), Propagation: or(""), SELinux: []string{"", "z", "Z", word()}[r.IntN(4)]}
		if r.IntN(12) == 0 {
			b.Host = word()
		}
		o.Service.Mounts = append(o.Service.Mounts, stack.Mount{Bind: b, Target: or("/bind"), ReadOnly: r.IntN(2) == 0}, stack.Mount{Target: or("/new")})
		o.Carry = map[string]string{or("/new"): or(strings.Repeat("0a", 32))}
	}
	return o
}

func TestSpec_NeverHoldsAnythingOfTheHost(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	through := 0
	for range 5000 {
		o := randomOrder(r)
		s, err := offline().newSpec(o, nil)
		if err != nil {
			continue
		}
		through++
		checkSafe(t, s)
		if t.Failed() {
			t.Fatalf("order %+v", o)
		}
	}
	if through < 200 {
		t.Errorf("only %d orders got through: the property says little", through)
	}
}

func FuzzSpec(f *testing.F) {
	good, err := json.Marshal(goodOrder())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var o pipeline.ContainerOrder
		if json.Unmarshal(raw, &o) != nil {
			return
		}
		if s, err := offline().newSpec(o, nil); err == nil {
			checkSafe(t, s)
		}
	})
}

// The checker itself must notice each of what it is there for.
func TestSpec_TheCheckerNotices(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*container.HostConfig){
		"sysctl":     func(h *container.HostConfig) { h.Sysctls = map[string]string{"kernel.core_pattern": "|/x"} },
		"bind":       func(h *container.HostConfig) { h.Binds = []string{"/:/host"} },
		"privileged": func(h *container.HostConfig) { h.Privileged = true },
		"host net":   func(h *container.HostConfig) { h.NetworkMode = "host" },
		"host pid":   func(h *container.HostConfig) { h.PidMode = "host" },
		"device":     func(h *container.HostConfig) { h.Devices = []container.DeviceMapping{{PathOnHost: "/dev/sda"}} },
		"cap":        func(h *container.HostConfig) { h.CapAdd = []string{"SYS_ADMIN"} },
		"mount":      func(h *container.HostConfig) { h.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: "/"}} },
		"other app": func(h *container.HostConfig) {
			h.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: "/srv/apps/2/data/x", Target: "/x"}}
		},
		"climbing bind": func(h *container.HostConfig) { h.Binds = []string{"/srv/apps/1/data/../x:/x:z"} },
		"log": func(h *container.HostConfig) {
			h.LogConfig = container.LogConfig{Type: "fluentd", Config: map[string]string{"fluentd-address": "unix:///var/run/docker.sock"}}
		},
		"security": func(h *container.HostConfig) { h.SecurityOpt = append(h.SecurityOpt, "seccomp=unconfined") },
	} {
		s, err := offline().newSpec(goodOrder(), nil)
		if err != nil {
			t.Fatal(err)
		}
		spoil(s.Host)
		probe := &testing.T{}
		done := make(chan struct{})
		go func() { defer close(done); checkSafe(probe, s) }()
		<-done
		if !probe.Failed() {
			t.Errorf("%s was not noticed", name)
		}
	}
}

func goodOrder() pipeline.ContainerOrder {
	return pipeline.ContainerOrder{
		Owner:   pipeline.Owner{App: "shop", AppID: "1", Service: "web", Color: pipeline.Green, Deployment: "d1", Commit: "c"},
		Image:   "sha256:1234",
		Service: stack.Service{Name: "web", Env: map[string]string{"B": "2", "A": "1"}, Ports: []int{8000}, Expose: []int{9000}, StopGrace: 1500 * time.Millisecond},
		Edge:    pipeline.Attachment{Network: "swingbridge-edge-abc123", Address: netip.MustParseAddr("10.0.0.2")},
		Links:   []pipeline.Link{{Network: "swingbridge-shop-abc123", Aliases: []string{"web"}}},
	}
}

func TestSpec_TranslatesAnOrder(t *testing.T) {
	t.Parallel()
	o := goodOrder()
	o.Replica = 2
	s, err := offline().newSpec(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "shop-web-green-d1-abc123-2" || *s.Config.StopTimeout != 2 || !slices.Equal(s.Config.Env, []string{"A=1", "B=2"}) || len(s.Config.ExposedPorts) != 2 {
		t.Errorf("%s %+v", s.Name, s.Config)
	}
	if s.First.Address != "10.0.0.2" || s.Rest[0].Aliases[0] != "web" {
		t.Errorf("links %+v %+v", s.First, s.Rest)
	}
	same, err := offline().newSpec(o, nil)
	if err != nil || same.Config.Labels[labelSpec] != s.Config.Labels[labelSpec] {
		t.Errorf("the same order has another hash: %v", err)
	}
	o.Service.Env["A"] = "other"
	other, err := offline().newSpec(o, nil)
	if err != nil || other.Config.Labels[labelSpec] == s.Config.Labels[labelSpec] {
		t.Errorf("another order has the same hash: %v", err)
	}
	o.Edge = pipeline.Attachment{}
	if s, err = offline().newSpec(o, nil); err != nil || s.Host.NetworkMode != "swingbridge-shop-abc123" || len(s.Rest) != 0 {
		t.Errorf("without an edge: %+v, %v", s, err)
	}
}

func TestVolumes_LocalDriverCannotReachTheHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v  stack.Volume
		ok bool
	}{
		{stack.Volume{Name: "data"}, true},
		{stack.Volume{Name: "data", Driver: "local"}, true},
		{stack.Volume{Name: "data", Options: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000"}}, true},
		{stack.Volume{Name: "data", Options: map[string]string{"type": "none", "o": "bind", "device": "/"}}, false},
		{stack.Volume{Name: "data", Options: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=1m,rbind"}}, false},
		{stack.Volume{Name: "data", Options: map[string]string{"type": "ext4", "device": "/dev/sda1"}}, false},
		{stack.Volume{Name: "data", Options: map[string]string{"type": "tmpfs", "device": "/"}}, false},
		{stack.Volume{Name: "data", Options: map[string]string{"mountpoint": "/"}}, false},
		{stack.Volume{Name: "data", Driver: "local-persist"}, false},
		{stack.Volume{Name: "data", Labels: map[string]string{"dev.swingbridge.app": "x"}}, false},
	} {
		o := goodOrder()
		o.Volumes, o.Service.Mounts = []stack.Volume{c.v}, []stack.Mount{{Volume: "data", Target: "/data"}}
		if _, err := offline().newSpec(o, nil); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.v, err)
		}
	}
}

func TestNames_HostileOnesStayApartAndSafe(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, name := range append(hostile(), "Web", "web", "we-b", "we_b", "we__b", "we--b", "-web", "web-", "web.", "WEB") {
		for _, tag := range []string{offline().imageName("shop", name, "k"), offline().imageName("shop", "web2", name)} {
			if was, ok := seen[tag]; ok && was != name {
				t.Errorf("%q and %q are both %s", was, name, tag)
			}
			seen[tag] = name
			repo, version, _ := strings.Cut(tag, ":")
			for _, part := range strings.Split(repo, "/") {
				if !isPath(strings.ReplaceAll(part, "__", "_")) {
					t.Errorf("%q gives %q", name, tag)
				}
			}
			if len(version) > 128 || len(repo) > 200 || !offline().ourTag(tag) {
				t.Errorf("%q gives %q", name, tag)
			}
		}
	}
}
