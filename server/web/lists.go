package web

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// pageLength is how many lines of a history are on a page.
const pageLength = 50

type deliveriesPage struct {
	frame
	Deliveries []pipeline.Delivery
	Older      string
}

// Deliveries is GET /deliveries.
func (s *Web) Deliveries(w http.ResponseWriter, r *http.Request) {
	list, err := s.o.Store.Deliveries(r.Context(), pipeline.Page{After: r.URL.Query().Get("after"), Limit: pageLength})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := deliveriesPage{frame: s.frame(r, "deliveries", "Deliveries · Swingbridge"), Deliveries: list}
	if len(list) == pageLength {
		page.Older = "/deliveries?after=" + url.QueryEscape(list[len(list)-1].ID)
	}
	s.render(w, r, http.StatusOK, "deliveries", page)
}

// Replay is POST /deliveries/{id}/replay.
func (s *Web) Replay(w http.ResponseWriter, r *http.Request) {
	if _, err := s.o.Commands.Replay(r.Context(), s.by(r), r.PathValue("id")); err != nil {
		s.fail(w, r, err)
		return
	}
	goTo(w, r, "/deliveries?done=replay")
}

type auditPage struct {
	frame
	Entries []pipeline.AuditEntry
	Older   string
}

// Audit is GET /audit.
func (s *Web) Audit(w http.ResponseWriter, r *http.Request) {
	list, err := s.o.Store.Audit(r.Context(), pipeline.Page{After: r.URL.Query().Get("after"), Limit: pageLength})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := auditPage{frame: s.frame(r, "audit", "Audit · Swingbridge"), Entries: list}
	if len(list) == pageLength {
		page.Older = "/audit?after=" + url.QueryEscape(list[len(list)-1].ID)
	}
	s.render(w, r, http.StatusOK, "audit", page)
}

type doctorPage struct {
	frame
	Checks []Check
	Wrong  int
}

// Doctor is GET /doctor.
func (s *Web) Doctor(w http.ResponseWriter, r *http.Request) {
	page := doctorPage{}
	if s.o.Doctor != nil {
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
		defer cancel()
		page.Checks = s.o.Doctor(ctx)
	}
	for _, c := range page.Checks {
		if !c.OK {
			page.Wrong++
		}
	}
	page.frame = s.frame(r, "doctor", "Doctor · Swingbridge")
	s.render(w, r, http.StatusOK, "doctor", page)
}
