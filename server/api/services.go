package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Services is GET /apps/{app}/services.
func (a *API) Services(w http.ResponseWriter, r *http.Request) {
	services, err := a.commands.Services(r.Context(), r.PathValue("app"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, List[Service]{Items: mapped(services, serviceJSON)})
}

// ServiceLog is GET /apps/{app}/services/{service}/log: the container's own
// output, ?tail= lines of it or all, ?since= a time or a duration ago, ?follow=;
// without ?color= on the color that visitors are on.
func (a *API) ServiceLog(w http.ResponseWriter, r *http.Request) {
	order, err := a.logOrder(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	at, err := placeOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	text, err := a.commands.ServiceLog(r.Context(), at, order)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer func() { _ = text.Close() }()
	// A read of a quiet container ends when the client goes.
	stop := context.AfterFunc(r.Context(), func() { _ = text.Close() })
	defer stop()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if err := copyFlushed(w, text); err != nil && r.Context().Err() == nil {
		a.logger.WarnContext(r.Context(), "send service log", "path", r.URL.Path, "error", err)
	}
}

// placeOf reads ?color= and ?replica=.
func placeOf(r *http.Request) (pipeline.ServicePlace, error) {
	query := r.URL.Query()
	at := pipeline.ServicePlace{App: r.PathValue("app"), Service: r.PathValue("service"), Color: pipeline.Color(query.Get("color"))}
	if at.Color != "" && at.Color != pipeline.Blue && at.Color != pipeline.Green {
		return at, invalid("color", "color must be blue or green")
	}
	if text := query.Get("replica"); text != "" {
		var err error
		if at.Replica, err = strconv.Atoi(text); err != nil || at.Replica < 0 {
			return at, invalid("replica", "replica must be a number, counted from 0")
		}
	}
	return at, nil
}

// defaultTail is how many lines a service log has if the client did not say.
const defaultTail = 1000

func (a *API) logOrder(r *http.Request) (pipeline.LogOrder, error) {
	query := r.URL.Query()
	order := pipeline.LogOrder{Tail: defaultTail}
	if text := query.Get("since"); text != "" {
		order.Tail = -1
		if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
			order.Since = a.now().Add(-ago)
		} else if at, err := time.Parse(time.RFC3339, text); err == nil {
			order.Since = at
		} else {
			return order, invalid("since", "since must be a time like 2026-01-02T15:04:05Z or a duration like 1h30m")
		}
	}
	switch text := query.Get("tail"); text {
	case "":
	case "all":
		order.Tail = -1
	default:
		lines, err := strconv.Atoi(text)
		if err != nil || lines < 0 {
			return order, invalid("tail", "tail must be a number of lines, or all")
		}
		order.Tail = lines
	}
	if text := query.Get("follow"); text != "" {
		follow, err := strconv.ParseBool(text)
		if err != nil {
			return order, invalid("follow", "follow must be true or false")
		}
		order.Follow = follow
	}
	return order, nil
}

// copyFlushed copies and lets the client see each piece at once.
func copyFlushed(w http.ResponseWriter, from io.Reader) error {
	out := http.NewResponseController(w)
	if err := out.Flush(); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Plan is GET /apps/{app}/plan; without ?commit= of the branch head.
func (a *API) Plan(w http.ResponseWriter, r *http.Request) {
	plan, err := a.commands.Plan(r.Context(), r.PathValue("app"), r.URL.Query().Get("commit"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, planJSON(plan))
}

// Doctor is GET /doctor: what the server finds about itself.
func (a *API) Doctor(w http.ResponseWriter, r *http.Request) {
	a.write(w, r, http.StatusOK, List[Check]{Items: filled(a.doctor(r.Context()))})
}
