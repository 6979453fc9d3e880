package docker

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func TestEnsure_PutsTheFilesBeforeTheStart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10)
	o.Service.Files = []stack.Content{
		{Target: "/run/secrets/key", Data: []byte("open\x00sesame"), Mode: 0o400, UID: 1000, GID: 1001},
		{Target: "/settings", Data: []byte("color: blue\n"), Mode: 0o444},
	}
	c := w.run(o)
	if got := w.get(c, "/file?path=/run/secrets/key"); got != "open\x00sesame" {
		t.Errorf("the secret is %q", got)
	}
	if got := w.get(c, "/file?path=/settings"); got != "color: blue\n" {
		t.Errorf("the config is %q", got)
	}
	if got := w.get(c, "/stat?path=/run/secrets/key"); got != "-r-------- 1000:1001" {
		t.Errorf("the secret is there as %s", got)
	}
	if got := w.get(c, "/stat?path=/run/secrets"); !strings.HasPrefix(got, "drwxr-xr-x 0:0") {
		t.Errorf("its folder is there as %s", got)
	}
	o.Service.Files[1].Data = []byte("color: green\n")
	if _, err := w.Ensure(t.Context(), o); err == nil {
		t.Error("a running container with other files was taken for the same")
	}
}

// The server dies between creating the container and giving it its files.
func TestEnsure_GivesAContainerTheFilesThatACrashKeptFromIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10)
	o.Service.Files = []stack.Content{{Target: "/settings", Data: []byte("here"), Mode: 0o444}}
	s, err := w.newSpec(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.api.ContainerStatPath(t.Context(), id, "/settings"); err == nil {
		t.Fatal("the file is there already: the test shows nothing")
	}
	for range 2 {
		if c := w.ensure(o); c.ID != id {
			t.Fatalf("another container: %s, not %s", c.ID, id)
		}
	}
	if err := w.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c := w.wait(id, "running", func(c pipeline.Container) bool { return c.Running })
	if got := w.get(c, "/file?path=/settings"); got != "here" {
		t.Errorf("the file is %q", got)
	}
}

func TestCheckFiles_RefusesWhatWouldBeElsewhere(t *testing.T) {
	t.Parallel()
	good := stack.Content{Target: "/run/secrets/a", Mode: 0o444}
	for name, c := range map[string]struct {
		svc stack.Service
		ok  bool
	}{
		"fine":      {stack.Service{Files: []stack.Content{good}}, true},
		"relative":  {stack.Service{Files: []stack.Content{{Target: "a"}}}, false},
		"root":      {stack.Service{Files: []stack.Content{{Target: "/"}}}, false},
		"climbing":  {stack.Service{Files: []stack.Content{{Target: "/a/../../b"}}}, false},
		"twice":     {stack.Service{Files: []stack.Content{good, good}}, false},
		"owner":     {stack.Service{Files: []stack.Content{{Target: "/a", UID: -1}}}, false},
		"mode":      {stack.Service{Files: []stack.Content{{Target: "/a", Mode: 0o10000}}}, false},
		"read-only": {stack.Service{Files: []stack.Content{good}, Settings: stack.Settings{ReadOnly: true}}, false},
	} {
		if err := checkFiles(c.svc); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSpec_TranslatesSettingsAndLimits(t *testing.T) {
	t.Parallel()
	o := goodOrder()
	calm := int64(10)
	o.Service.Settings = stack.Settings{
		Hostname: "shop", TTY: true, StdinOpen: true, ExtraHosts: []string{"a:host-gateway"}, ReadOnly: true,
		Ulimits: []stack.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}}, Annotations: map[string]string{"a": "b"}, ShmSize: 64,
	}
	o.Service.Limits = stack.Limits{Pids: 5, MemorySwap: -1, Swappiness: &calm, CPUSet: "0-1", CPUQuota: 1000}
	s, err := offline().newSpec(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, h := s.Config, s.Host
	if c.Hostname != "" || !c.Tty || !c.OpenStdin || c.Labels["a"] != "b" {
		t.Errorf("config %+v", c)
	}
	if h.ExtraHosts[0] != "a:host-gateway" || !h.ReadonlyRootfs || *h.Ulimits[0] != (container.Ulimit{Name: "nofile", Soft: 1, Hard: 2}) || h.ShmSize != 64 {
		t.Errorf("host %+v", h)
	}
	if *h.PidsLimit != 5 || h.MemorySwap != -1 || *h.MemorySwappiness != 10 || h.CpusetCpus != "0-1" || h.CPUQuota != 1000 {
		t.Errorf("resources %+v", h.Resources)
	}
	o.Service.Files = []stack.Content{{Target: "/a", Data: []byte("1")}}
	if _, err := offline().newSpec(o, nil); err == nil {
		t.Error("files for a read-only container")
	}
}
