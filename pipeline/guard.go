package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

const (
	// guardPause is how often containers are looked at besides their events.
	guardPause = time.Second
	// leastGuard is how long the new color is watched even if its time has
	// passed, as it may while the server is away: enough to ask it asksBad times.
	leastGuard = 5 * time.Second
	// hurryBudget bounds the swing back at once; the undo has its own.
	hurryBudget = 5 * time.Second
)

// fallen is a container that did not stay well.
type fallen struct {
	container Container
	why       string
}

func (f fallen) Error() string { return f.why }

// guard watches the new color after the cutover: a container that dies,
// restarts or turns unhealthy, answers that are worse than before, or none.
// Any of it swings visitors back at once, before anything else is done.
func (x *run) guard(ctx context.Context) (string, error) {
	whole := x.rel.Stack.Guard
	least := min(whole, leastGuard)
	until := x.Now().Add(max(whole-x.Now().Sub(x.cutAt), least))
	end := time.NewTimer(until.Sub(x.Now()))
	defer end.Stop()
	watch, stop := context.WithCancel(ctx)
	verdicts := make(chan error, 3)
	var wg sync.WaitGroup
	for _, watcher := range []func(context.Context) error{x.watchContainers, x.watchVisits, x.watchAnswers} {
		wg.Go(func() {
			if err := watcher(watch); err != nil && watch.Err() == nil {
				verdicts <- err
			}
		})
	}
	defer func() { stop(); wg.Wait() }()
	for over, handed := end.C, x.handed; over != nil || handed != nil; {
		select {
		case <-ctx.Done():
			if byOperator(ctx) {
				x.hurryBack(ctx)
			}
			return "", context.Cause(ctx)
		case err := <-verdicts:
			return "", x.fall(ctx, err)
		case <-over:
			over = nil
		case err := <-handed:
			if err != nil {
				return "", x.fall(ctx, fmt.Errorf("hand over: %w", err))
			}
			handed = nil
			// Workers that came late are watched for a while too.
			if len(workersOf(x.rel, false)) > 0 && until.Sub(x.Now()) < least {
				end.Reset(least)
				over = end.C
			}
		}
	}
	if err := x.lastLook(ctx); err != nil {
		return "", x.fall(ctx, err)
	}
	return fmt.Sprintf("well for %s%s", whole, x.visited(ctx)), nil
}

// lastLook is taken right before the new color is accepted.
func (x *run) lastLook(ctx context.Context) error {
	if err := x.well(ctx); err != nil || x.rel.Stack.Guard == 0 {
		return err
	}
	return x.judge(ctx, newRuler(x.rel.Stack.GuardLimits, x.before))
}

// fall swings visitors back, and then gathers what tells why.
func (x *run) fall(ctx context.Context, verdict error) error {
	if x.stops(ctx) {
		return verdict // the next start looks again
	}
	x.hurryBack(ctx)
	var f fallen
	if errors.As(verdict, &f) {
		x.tailLog(ctx, f.container)
	}
	return verdict
}

// hurryBack moves visitors to the color that they came from by one call, if
// that was seen to run. The undo, which follows, makes sure of it.
func (x *run) hurryBack(ctx context.Context) {
	back := x.back.Load()
	if back == nil {
		return
	}
	steadied, stop := x.steady(ctx)
	defer stop()
	ctx, cancel := context.WithTimeout(steadied, hurryBudget)
	defer cancel()
	version := x.entered.Version
	for range amends {
		swung, err := x.Proxy.Swing(ctx, *back, version)
		if err == nil {
			x.say("visitors are back on %s after %s", back.Color, swung.Swap)
			return
		}
		now, asked := x.Proxy.Entry(ctx, x.app.ID)
		if !errors.Is(err, ErrConflict) || asked != nil || now.Deployment != x.dep.ID {
			return
		}
		version = now.Version
	}
}

// watchContainers returns what is wrong with a container of the new color, and
// keeps in mind where visitors could return to.
func (x *run) watchContainers(ctx context.Context) error {
	look := time.NewTicker(guardPause)
	defer look.Stop()
	events, err := x.Engine.Events(ctx)
	if err != nil {
		events = nil // looking at them now and then will do
	}
	x.rememberBack(ctx)
	for {
		if err := x.well(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-events:
			if !open {
				events = nil
			}
			if err := x.starved(e); err != nil {
				return err
			}
		case <-look.C:
			x.rememberBack(ctx)
		}
	}
}

// starved is what an event says of a process that the kernel killed for its
// memory. The container may live on, and then does not tell.
func (x *run) starved(e Event) error {
	for _, c := range x.colored() {
		if e.Kind == "oom" && e.Container == c.ID {
			svc, _ := x.rel.Stack.Service(c.Owner.Service)
			return fallen{c, called(svc, c) + ": a process of it was killed for using more memory than its limit, after the cutover"}
		}
	}
	return nil
}

// rememberBack notes the entry of the color before this one, as long as it
// runs.
func (x *run) rememberBack(ctx context.Context) {
	if x.live.ID == "" || x.live.ID == x.dep.ID {
		return
	}
	back, err := EntryFor(ctx, x.Engine, x.app, x.live, x.liveRel)
	switch {
	case err == nil:
		x.back.Store(&back)
	case !errors.Is(err, ErrUnreachable):
		x.back.Store(nil)
	}
}

// well compares the containers with what they were at the cutover.
func (x *run) well(ctx context.Context) error {
	for _, was := range x.colored() {
		if was.Owner.Role == stack.Worker && !(was.Running && was.Always) {
			continue // not handed over yet
		}
		svc, _ := x.rel.Stack.Service(was.Owner.Service)
		now, err := x.Engine.Inspect(ctx, was.ID)
		if errors.Is(err, ErrUnreachable) {
			return nil // nothing is known, and nobody could swing back by it
		}
		if err != nil {
			return fmt.Errorf("look at container %s: %w", was.Name, err)
		}
		switch {
		case !now.Running || now.Restarts > was.Restarts || !now.StartedAt.Equal(was.StartedAt):
			return fallen{was, fmt.Sprintf("%s: %s after the cutover", called(svc, was), ending(now))}
		case now.Health == "unhealthy":
			return fallen{was, fmt.Sprintf("%s: turned unhealthy after the cutover", called(svc, was))}
		}
	}
	return nil
}
