package docker

import (
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestDetach_TellsTheContainerToEndAndWaitCanBeLater(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	order := w.order("polite", 10)
	order.Service.StopSignal = "SIGUSR1"
	yes := true
	order.Service.Init = &yes
	c := w.run(order)
	w.get(c, "/")
	if err := w.Detach(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	ended, err := w.Wait(t.Context(), c.ID)
	if err != nil || ended.Running || ended.ExitCode != 0 {
		t.Errorf("ended as %+v, %v", ended, err)
	}
	if err := w.Detach(t.Context(), c.ID); err != nil {
		t.Errorf("detach of what has ended: %v", err)
	}
	if err := w.Remove(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Detach(t.Context(), c.ID); err != nil {
		t.Errorf("detach of what is gone: %v", err)
	}
}

// detachGrace is longer than any test takes.
const detachGrace = time.Hour

// Nobody waits for a worker that takes its time; it still has all of it.
func TestDetach_DoesNotCutTheGraceShort(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	order := w.order("stubborn", 11, "stubborn")
	order.Service.StopGrace = detachGrace
	c := w.run(order)
	w.wait(c.ID, "ignoring", func(c pipeline.Container) bool { return w.logs(c.ID, pipeline.LogOrder{Tail: -1}) == "ignoring\n" })
	if err := w.Detach(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	now := w.inspect(c.ID)
	if !now.Running || now.Grace != detachGrace {
		t.Errorf("after it was told to end: %+v", now)
	}
	if err := w.Remove(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
}
