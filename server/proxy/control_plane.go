package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// maxBody bounds what is sent to the control API, in bytes.
const maxBody = 32 << 20

// planeRoutes are the calls beside those that change and show the table.
func (p *Proxy) planeRoutes(mux *http.ServeMux) {
	mux.HandleFunc("DELETE /v1/apps/{id}/targets/{address}", p.deleteTarget)
	mux.HandleFunc("GET /v1/apps/{id}/mode", p.getMode)
	mux.HandleFunc("PUT /v1/apps/{id}/mode", p.putMode)
	mux.HandleFunc("GET /v1/deployments/{deployment}/visits", p.getVisits)
	mux.HandleFunc("POST /v1/deployments/{deployment}/end-streams", p.postEndStreams)
}

func (p *Proxy) deleteTarget(w http.ResponseWriter, r *http.Request) {
	at, err := netip.ParseAddr(r.PathValue("address"))
	if err != nil {
		answer(w, nil, fmt.Errorf("%w address: %w", pipeline.ErrInvalid, err))
		return
	}
	answer(w, struct{}{}, p.Lose(r.Context(), r.PathValue("id"), at))
}

func (p *Proxy) getMode(w http.ResponseWriter, r *http.Request) {
	m, err := p.Mode(r.Context(), r.PathValue("id"))
	answer(w, m, err)
}

// putMode answers what the table now holds.
func (p *Proxy) putMode(w http.ResponseWriter, r *http.Request) {
	var m pipeline.Mode
	if err := decode(w, r, &m); err != nil {
		answer(w, nil, err)
		return
	}
	if err := p.SetMode(r.Context(), r.PathValue("id"), m); err != nil {
		answer(w, nil, err)
		return
	}
	p.getMode(w, r)
}

func (p *Proxy) getVisits(w http.ResponseWriter, r *http.Request) {
	from, errFrom := time.Parse(time.RFC3339Nano, r.URL.Query().Get("from"))
	to, errTo := time.Parse(time.RFC3339Nano, r.URL.Query().Get("to"))
	if err := errors.Join(errFrom, errTo); err != nil {
		answer(w, nil, fmt.Errorf("%w from or to: %w", pipeline.ErrInvalid, err))
		return
	}
	v, err := p.Visits(r.Context(), r.PathValue("deployment"), from, to)
	answer(w, v, err)
}

// ending says when streams are to have ended.
type ending struct {
	By time.Time `json:"by"`
}

// ended says how many there were.
type ended struct {
	Streams int `json:"streams"`
}

func (p *Proxy) postEndStreams(w http.ResponseWriter, r *http.Request) {
	var e ending
	if err := decode(w, r, &e); err != nil {
		answer(w, nil, err)
		return
	}
	n, err := p.EndStreams(r.Context(), r.PathValue("deployment"), e.By)
	answer(w, ended{n}, err)
}

// decode reads one JSON value without anything that we do not know: who sends
// it counts on its being heeded.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON value")
		}
	}
	if err != nil {
		return fmt.Errorf("%w request body: %w", pipeline.ErrInvalid, err)
	}
	return nil
}
