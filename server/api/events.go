package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Events is GET /events: every state change from now on. Nothing is repeated
// after a break: a client asks for what it shows, then listens again.
func (a *API) Events(w http.ResponseWriter, r *http.Request) {
	events, stop := pump(r.Context(), a.subscribe)
	defer stop()
	out, err := openStream(w)
	if err != nil {
		return // the client is gone
	}
	beat := time.NewTicker(a.heartbeat)
	defer beat.Stop()
	for {
		select {
		case e, open := <-events:
			if !open {
				return // too slow, or the server ends: the client comes again
			}
			data, err := json.Marshal(changeJSON(e, a.appName(r.Context(), e)))
			if err != nil {
				a.logger.ErrorContext(r.Context(), "write event", "error", err)
				return
			}
			if out.send("", strconv.FormatUint(e.ID, 10), data) != nil {
				return
			}
		case <-beat.C:
			if out.beat() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// appName is what people call the app that an event is about. One that is gone
// for good is told by its id.
func (a *API) appName(ctx context.Context, e Event) string {
	if e.App == "" {
		return ""
	}
	if app, err := a.store.AppByID(ctx, e.App); err == nil {
		return app.Name
	}
	if d, err := a.store.Deployment(ctx, e.Deployment); err == nil {
		return d.AppName
	}
	return e.App
}
