package docker

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func TestStop_UsesTheContainersOwnSignalAndGrace(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	polite := w.order("polite", 10)
	polite.Service.StopSignal = "SIGUSR1"
	yes := true
	polite.Service.Init = &yes
	c := w.run(polite)
	w.get(c, "/")
	if err := w.Stop(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if now := w.inspect(c.ID); now.Running || now.ExitCode != 0 || now.Status != "exited" || now.EndedAt.IsZero() {
		t.Errorf("polite: %+v", now)
	}
	if log := w.logs(c.ID, pipeline.LogOrder{Tail: -1}); log != "serving\non standard error\nended by user defined signal 1\n" &&
		log != "on standard error\nserving\nended by user defined signal 1\n" {
		t.Errorf("log %q", log)
	}
	if log := w.logs(c.ID, pipeline.LogOrder{Tail: 1}); log != "ended by user defined signal 1\n" {
		t.Errorf("last line %q", log)
	}
	stubborn := w.order("stubborn", 11, "stubborn")
	stubborn.Service.StopGrace = 300 * time.Millisecond // becomes one second
	c = w.run(stubborn)
	w.wait(c.ID, "ignoring", func(c pipeline.Container) bool { return w.logs(c.ID, pipeline.LogOrder{Tail: -1}) == "ignoring\n" })
	if err := w.Stop(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if now := w.inspect(c.ID); now.ExitCode != 137 {
		t.Errorf("stubborn: %+v", now)
	}
	if err := w.Remove(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	for name, act := range map[string]func(context.Context, string) error{"stop": w.Stop, "remove": w.Remove} {
		if err := act(t.Context(), c.ID); err != nil {
			t.Errorf("%s of what is gone: %v", name, err)
		}
	}
	if _, err := w.Inspect(t.Context(), c.ID); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("inspect of what is gone: %v", err)
	}
}

func (w *world) logs(id string, o pipeline.LogOrder) string {
	w.t.Helper()
	r, err := w.Logs(w.t.Context(), id, o)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func TestLogs_FollowEndsWithTheReaderOrTheContainer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	c := w.run(w.order("d1", 10))
	w.get(c, "/")
	r, err := w.Logs(t.Context(), c.ID, pipeline.LogOrder{Tail: -1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r, err = w.Logs(t.Context(), c.ID, pipeline.LogOrder{Tail: 0, Follow: true, Since: c.StartedAt})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := w.Stop(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "ended by terminated\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestSetRestart_SwitchesAndKeepsLimits(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10, "exit", "3")
	o.Service.Limits = stack.Limits{Memory: 64 << 20, Pids: 50, CPUs: 0.5}
	c := w.ensure(o)
	if err := w.SetRestart(t.Context(), c.ID, true); err != nil {
		t.Fatal(err)
	}
	if !w.inspect(c.ID).Always {
		t.Error("not always")
	}
	if err := w.Start(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	w.wait(c.ID, "restarted", func(c pipeline.Container) bool { return c.Restarts > 0 })
	if err := w.SetRestart(t.Context(), c.ID, false); err != nil {
		t.Fatal(err)
	}
	ended := w.wait(c.ID, "exited", func(c pipeline.Container) bool { return c.Status == "exited" })
	if ended.Always || ended.ExitCode != 3 {
		t.Errorf("%+v", ended)
	}
	there, err := w.api.ContainerInspect(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if r := there.HostConfig; r.Memory != 64<<20 || *r.PidsLimit != 50 || r.NanoCPUs != 5e8 {
		t.Errorf("limits %+v", r.Resources)
	}
	if l := there.HostConfig.LogConfig; l.Type != "json-file" || l.Config["max-size"] != "10m" || l.Config["max-file"] != "3" {
		t.Errorf("log %+v", l)
	}
	if len(there.HostConfig.SecurityOpt) == 0 || there.HostConfig.SecurityOpt[0] != "no-new-privileges:true" {
		t.Errorf("security %v", there.HostConfig.SecurityOpt)
	}
}

func TestStart_SaysWhyAContainerCannotRun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	o := w.order("d1", 10)
	o.Service.Entrypoint = []string{"/nothing"}
	c := w.ensure(o)
	if err := w.Start(t.Context(), c.ID); err == nil || !strings.Contains(err.Error(), "/nothing") {
		t.Errorf("got %v", err)
	}
	if now := w.inspect(c.ID); now.Running || !strings.Contains(now.Error, "/nothing") || now.ExitCode != 127 {
		t.Errorf("%+v", now)
	}
}
