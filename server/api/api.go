package api

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Options is what the calls need.
type Options struct {
	Store     Store
	Commands  Commands
	Logs      LogFiles
	Follow    FollowLog                         // see FollowLogOf
	Subscribe Subscribe                         // see SubscribeOf
	Doctor    func(ctx context.Context) []Check // nil: no checks
	Drift     DriftOf                           // nil: nobody looks
	Now       func() time.Time                  // nil: time.Now
	Logger    *slog.Logger                      // nil: discards
	Heartbeat time.Duration                     // between comments in an idle stream; 0: 15 s
}

// API has a method for each call.
type API struct {
	store     Store
	commands  Commands
	logs      LogFiles
	follow    FollowLog
	subscribe Subscribe
	doctor    func(ctx context.Context) []Check
	drift     DriftOf
	now       func() time.Time
	logger    *slog.Logger
	heartbeat time.Duration
}

// New checks that nothing is missing.
func New(o Options) (*API, error) {
	if o.Store == nil || o.Commands == nil || o.Logs == nil || o.Follow == nil || o.Subscribe == nil {
		return nil, errors.New("api: store, commands, logs, follow and subscribe are all needed")
	}
	a := &API{
		store: o.Store, commands: o.Commands, logs: o.Logs, follow: o.Follow, subscribe: o.Subscribe,
		doctor: o.Doctor, drift: o.Drift, now: o.Now, logger: o.Logger, heartbeat: o.Heartbeat,
	}
	if a.doctor == nil {
		a.doctor = func(context.Context) []Check { return nil }
	}
	if a.drift == nil {
		a.drift = func(string) []pipeline.Drift { return nil }
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	if a.heartbeat <= 0 {
		a.heartbeat = 15 * time.Second
	}
	return a, nil
}

type actorKey struct{}

// WithActor says who makes the request that ctx belongs to.
func WithActor(ctx context.Context, by pipeline.Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, by)
}

// ActorFrom is who makes the request; an actor without a role if nobody was
// identified.
func ActorFrom(ctx context.Context) pipeline.Actor {
	by, _ := ctx.Value(actorKey{}).(pipeline.Actor)
	return by
}
