package api

import (
	"net/http"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ListDeliveries is GET /deliveries, newest first.
func (a *API) ListDeliveries(w http.ResponseWriter, r *http.Request) {
	p, err := page(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	found, err := a.store.Deliveries(r.Context(), oneMore(p))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, listOf(found, p, func(d pipeline.Delivery) string { return d.ID }, deliveryJSON))
}

// Replay is POST /deliveries/{id}/replay.
func (a *API) Replay(w http.ResponseWriter, r *http.Request) {
	d, err := a.commands.Replay(r.Context(), ActorFrom(r.Context()), r.PathValue("id"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, deliveryJSON(d))
}

// Audit is GET /audit, newest first.
func (a *API) Audit(w http.ResponseWriter, r *http.Request) {
	p, err := page(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	found, err := a.store.Audit(r.Context(), oneMore(p))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, listOf(found, p, func(e pipeline.AuditEntry) string { return e.ID }, auditJSON))
}
