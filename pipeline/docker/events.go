package docker

import (
	"context"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Events delivers die, oom, health_status, start and destroy of this
// installation's containers until ctx ends. What happens after Events has
// returned is delivered; what was before must be listed, after subscribing. The
// channel closes when the stream breaks: subscribe and list again.
func (e *Engine) Events(ctx context.Context) (<-chan pipeline.Event, error) {
	// The engine answers a moment before it listens. Asking for what happened
	// since just now, by its own clock, closes that gap.
	info, err := e.api.Info(ctx)
	if err != nil {
		return nil, said(err, "ask the engine for its time")
	}
	args := e.containerFilter()
	args.Add("type", string(events.ContainerEventType))
	for _, kind := range []events.Action{
		events.ActionDie, events.ActionOOM, events.ActionHealthStatus, events.ActionStart, events.ActionDestroy,
	} {
		args.Add("event", string(kind))
	}
	messages, broken := e.api.Events(ctx, events.ListOptions{Since: info.SystemTime, Filters: args})
	out := make(chan pipeline.Event)
	go func() {
		defer close(out)
		for {
			select {
			case m := <-messages:
				event, ok := translate(m)
				if !ok {
					continue
				}
				select {
				case out <- event:
				case <-ctx.Done():
					return
				}
			case err := <-broken:
				if ctx.Err() == nil {
					e.log.WarnContext(ctx, "the engine's event stream broke", "error", err)
				}
				return
			}
		}
	}()
	return out, nil
}

// translate gives the pipeline's word for an event; false for a kind that it
// has none for.
func translate(m events.Message) (pipeline.Event, bool) {
	event := pipeline.Event{
		Container:  m.Actor.ID,
		AppID:      m.Actor.Attributes[labelAppID],
		Deployment: m.Actor.Attributes[labelDeployment],
		Service:    m.Actor.Attributes[labelService],
		At:         time.Unix(0, m.TimeNano).UTC(),
	}
	switch m.Action {
	case events.ActionDie:
		event.Kind = "die"
		event.ExitCode, _ = strconv.Atoi(m.Actor.Attributes["exitCode"]) // absent: 0
	case events.ActionOOM:
		event.Kind = "oom"
	case events.ActionStart:
		event.Kind = "start"
	case events.ActionDestroy:
		event.Kind = "destroy"
	case events.ActionHealthStatusHealthy:
		event.Kind = "healthy"
	case events.ActionHealthStatusUnhealthy:
		event.Kind = "unhealthy"
	default:
		return pipeline.Event{}, false
	}
	return event, true
}
