package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// HeadMemory remembers which branch heads were seen.
type HeadMemory interface {
	Apps(ctx context.Context) ([]App, error)
	SeenHead(ctx context.Context, appID string) (string, error)
	// SetSeenHead remembers the head, unless another one than was has been seen
	// since.
	SetSeenHead(ctx context.Context, appID, was, sha string) error
}

// noBranch is remembered while the branch does not exist, so that its first
// commit is news.
const noBranch = "none"

// HeadWatch reads branch heads at start and on a timer: a webhook is only a
// doorbell, and a lost or forged order of deliveries ends at the head anyway.
type HeadWatch struct {
	Source Source
	Heads  Heads
	Memory HeadMemory
	Every  time.Duration
	Logger *slog.Logger

	news chan App // apps whose head is to be read at once
	once sync.Once
}

// Look asks for the app's head to be read soon. It never waits.
func (w *HeadWatch) Look(a App) {
	select {
	case w.channel() <- a:
	default: // the timer will come round
	}
}

func (w *HeadWatch) channel() chan App {
	w.once.Do(func() { w.news = make(chan App, 64) })
	return w.news
}

// Run reads all heads now and at every tick until ctx ends.
func (w *HeadWatch) Run(ctx context.Context) {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	w.all(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-w.channel():
			w.check(ctx, a)
		case <-tick.C:
			w.all(ctx)
		}
	}
}

func (w *HeadWatch) all(ctx context.Context) {
	apps, err := w.Memory.Apps(ctx)
	if err != nil {
		w.Logger.Warn("read branch heads", "error", err)
		return
	}
	for _, a := range apps {
		w.check(ctx, a)
	}
}

func (w *HeadWatch) check(ctx context.Context, a App) {
	if err := w.Check(ctx, a); err != nil && ctx.Err() == nil {
		w.Logger.Warn("read branch head", "app", a.Name, "error", err)
	}
}

// Check reads one app's branch head and queues it if it is not the one that
// was seen last. The first head ever seen of an app is where it stands, not a
// push.
func (w *HeadWatch) Check(ctx context.Context, a App) error {
	// What was seen is read first: a push that comes in between then wins.
	seen, err := w.Memory.SeenHead(ctx, a.ID)
	if err != nil {
		return fmt.Errorf("read the head seen last: %w", err)
	}
	head, err := w.Source.Head(ctx, a.Repo, a.Branch)
	if errors.Is(err, ErrNoBranch) {
		head, err = noBranch, nil
	}
	if err != nil {
		return err
	}
	if head == seen {
		return nil
	}
	if seen != "" && head != noBranch {
		_, err := w.Heads.QueueHead(ctx, Head{
			AppID: a.ID, Commit: head, Was: seen, Because: fmt.Sprintf("head of %s, read without a delivery", a.Branch),
		})
		if err != nil {
			return fmt.Errorf("queue the head %s: %w", Short(head), err)
		}
		return nil
	}
	return w.Memory.SetSeenHead(ctx, a.ID, seen, head)
}
