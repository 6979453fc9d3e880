package proxy

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Table is all that the proxy's table holds.
type Table struct {
	Seq     uint64                   `json:"seq"`     // of the last change
	Entries []pipeline.Entry         `json:"entries"` // ordered by app id
	Modes   map[string]pipeline.Mode `json:"modes"`   // by app id, those other than to serve
}

// Table returns the whole table.
func (p *Proxy) Table(context.Context) (Table, error) {
	t := p.table.Load()
	out := Table{Seq: t.seq, Entries: make([]pipeline.Entry, 0, len(t.apps)), Modes: modesOf(t)}
	for _, id := range sortedApps(t) {
		out.Entries = append(out.Entries, t.apps[id].Entry)
	}
	return out, nil
}

// Replace makes the table what want says, if it still has was as its seq:
// pipeline.ErrConflict if not. It is for restoring a table and for making it
// equal to the database. An entry that stays as it is keeps its version and
// whatever waits for it; want's own seq and versions are not looked at. It
// returns what the table holds now.
func (p *Proxy) Replace(ctx context.Context, want Table, was uint64) (Table, error) {
	for i := range want.Entries {
		if err := p.valid(&want.Entries[i]); err != nil {
			return Table{}, err
		}
	}
	p.changes.Lock()
	defer p.changes.Unlock()
	cur := p.table.Load()
	if cur.seq != was {
		return Table{}, fmt.Errorf("the table is at %d, not %d: %w", cur.seq, was, pipeline.ErrConflict)
	}
	next, err := p.build(want, cur)
	if err != nil {
		return Table{}, err
	}
	if _, err := p.persist(next); err != nil {
		return Table{}, err
	}
	p.swap(next)
	p.forget()
	p.log.InfoContext(ctx, "table replaced", "apps", len(next.apps), "seq", next.seq)
	return p.Table(ctx)
}

// build makes the table that want describes. The caller holds p.changes.
func (p *Proxy) build(want Table, cur *table) (*table, error) {
	next := newTable(cur.seq + 1)
	for _, e := range want.Entries {
		if next.apps[e.AppID] != nil {
			return nil, fmt.Errorf("%w table: app %s is in it twice", pipeline.ErrInvalid, e.AppID)
		}
		made := p.kept(e, want.Modes[e.AppID], cur)
		if made == nil {
			e.Version = next.seq
			made = p.entry(e)
			made.mode = want.Modes[e.AppID]
		}
		var err error
		if next, err = next.with(made); err != nil {
			return nil, err
		}
	}
	for id, m := range want.Modes {
		if next.apps[id] == nil {
			return nil, fmt.Errorf("%w table: it has a mode of app %s, but no entry", pipeline.ErrInvalid, id)
		}
		if err := validMode(m); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// kept is the entry that the table has already, nil if it is to become another.
func (p *Proxy) kept(e pipeline.Entry, m pipeline.Mode, cur *table) *entry {
	old := cur.apps[e.AppID]
	if old == nil || !sameMode(old.mode, m) {
		return nil
	}
	e.Version = old.Version
	if !bytes.Equal(encodeEntry(e), old.encoded) {
		return nil
	}
	return old
}

func sameMode(a, b pipeline.Mode) bool {
	ends := a.Until.Equal(b.Until)
	a.Until, b.Until = time.Time{}, time.Time{}
	return ends && a == b
}

func (p *Proxy) getTable(w http.ResponseWriter, r *http.Request) {
	t, err := p.Table(r.Context())
	answerTable(w, t, err)
}

// putTable answers what the table now holds.
func (p *Proxy) putTable(w http.ResponseWriter, r *http.Request) {
	var want Table
	if err := decode(w, r, &want); err != nil {
		answer(w, nil, err)
		return
	}
	was, err := mustMatch(r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	t, err := p.Replace(r.Context(), want, was)
	answerTable(w, t, err)
}

func answerTable(w http.ResponseWriter, t Table, err error) {
	if err == nil {
		w.Header().Set("ETag", etag(t.Seq))
	}
	answer(w, t, err)
}

// Table returns the whole table.
func (c *Client) Table(ctx context.Context) (Table, error) {
	var t Table
	return t, c.call(ctx, order{method: http.MethodGet, path: "/v1/table", into: &t})
}

// Entries returns the entries of the whole table, ordered by app id.
func (c *Client) Entries(ctx context.Context) ([]pipeline.Entry, error) {
	t, err := c.Table(ctx)
	return t.Entries, err
}

// Replace makes the table what want says, if it still has was as its seq.
func (c *Client) Replace(ctx context.Context, want Table, was uint64) (Table, error) {
	var t Table
	return t, c.call(ctx, order{method: http.MethodPut, path: "/v1/table", match: etag(was), body: want, into: &t})
}

func etag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }
