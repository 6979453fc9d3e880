package docker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func TestEnsure_GivesWhatWasAllowedAndNothingWithoutIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10)
	o.Service.Rights = stack.Rights{
		CapAdd: []string{"NET_ADMIN"}, Devices: []string{"/dev/null:/dev/nothing:r"}, Host: []string{"pid"},
		Ports: []stack.Port{{Address: "127.0.0.1", Container: 8080, Protocol: "tcp"}}, Security: []string{"no-new-privileges=false"},
	}
	o.Service.Mounts = []stack.Mount{{Bind: &stack.Bind{Host: "/etc/hostname"}, Target: "/host", ReadOnly: true}}
	words := []string{"cap:NET_ADMIN", "device:/dev/null", "host:pid", "port:0", "security-opt:no-new-privileges=false", "bind:/etc/hostname:ro"}
	for i, word := range words {
		o.Allowed = append(append([]string{}, words[:i]...), words[i+1:]...)
		if _, err := w.Ensure(t.Context(), o); !errors.Is(err, pipeline.ErrInvalid) || !strings.Contains(err.Error(), "swingbridge app allow shop ") {
			t.Errorf("without %s: %v", word, err)
		}
	}
	if made, err := w.List(t.Context(), pipeline.Filter{}); err != nil || len(made) > 0 {
		t.Fatalf("refused, and made: %+v, %v", made, err)
	}
	o.Allowed = words
	c, err := w.api.ContainerInspect(t.Context(), w.ensure(o).ID)
	if err != nil {
		t.Fatal(err)
	}
	h := c.HostConfig
	if h.Privileged || h.PidMode != "host" || slices.Contains(h.SecurityOpt, "no-new-privileges:true") || len(h.PortBindings) != 1 || !strings.HasSuffix(h.CapAdd[0], "NET_ADMIN") ||
		h.Devices[0].CgroupPermissions != "r" || c.Mounts[0].Source != "/etc/hostname" || c.Mounts[0].RW {
		t.Errorf("got %+v with %+v", h, c.Mounts)
	}
}

func TestEnsure_RefusesAVolumeThatReachesTheHostSinceItWasAllowed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10)
	o.Service.Mounts = []stack.Mount{{Volume: "data", Target: "/data"}}
	o.Volumes = []stack.Volume{{Name: "data", Options: map[string]string{"type": "none", "o": "bind", "device": "/etc"}}}
	o.Allowed = []string{"bind:/etc"}
	w.ensure(o)
	o.Owner.Deployment, o.Edge.Address = "d2", o.Edge.Address.Next()
	o.Volumes[0].Options, o.Allowed = nil, nil
	if _, err := w.Ensure(t.Context(), o); !errors.Is(err, pipeline.ErrInvalid) || !strings.Contains(err.Error(), "bind:/etc") {
		t.Errorf("the volume still is /etc of the host: %v", err)
	}
}

func TestSpec_NamespacesAndTheRestAreAsAllowed(t *testing.T) {
	t.Parallel()
	o := goodOrder()
	o.Edge, o.Links = pipeline.Attachment{}, nil
	o.Service.Rights = stack.Rights{
		Privileged: true, Host: []string{"network", "ipc", "uts", "user", "cgroup"}, DeviceRules: []string{"c 1:3 r"}, Security: []string{"systempaths=unconfined"},
		Other: map[string]string{"runtime": "nvidia", "cgroup_parent": "/batch", "oom_score_adj": "-5", "oom_kill_disable": "true", "gpus": "2"},
	}
	for _, p := range o.Service.Permissions() {
		o.Allowed = append(o.Allowed, string(p))
	}
	s, err := offline().newSpec(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := s.Host
	got := []any{h.Privileged, h.NetworkMode, h.IpcMode, h.UTSMode, h.UsernsMode, h.CgroupnsMode, h.DeviceCgroupRules, len(h.MaskedPaths), h.MaskedPaths != nil, h.Runtime, h.CgroupParent, h.OomScoreAdj, *h.OomKillDisable, h.DeviceRequests[0].Count}
	for i, want := range []any{true, "host", "host", "host", "host", "host", "[c 1:3 r]", 0, true, "nvidia", "/batch", -5, true, 2} {
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got[i])); diff != "" {
			t.Errorf("%d: %s", i, diff)
		}
	}
	if said := overreach(s, o); said != nil {
		t.Errorf("more than was allowed: %s", said)
	}
	o.Links = goodOrder().Links
	if _, err := offline().newSpec(o, nil); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("on the host's network and on another: %v", err)
	}
}
