package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestReplace_MakesTheTableWhatItIsToBe(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c, _ := serveControl(t, p)
	d1, d2 := newBackend(t, "d1"), newBackend(t, "d2")
	kept, gone, moved := entryOf("kept", "kept.example", d1), entryOf("gone", "gone.example", d1), entryOf("moved", "moved.example", d1)
	for _, e := range []pipeline.Entry{kept, gone, moved} {
		swing(t, p, e)
	}
	before, err := c.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to := entryOf("moved", "gone.example", d2) // a host changes hands in one step
	hold := pipeline.Mode{Kind: pipeline.ModeHold}
	want := Table{Entries: []pipeline.Entry{kept, to}, Modes: map[string]pipeline.Mode{"id-moved": hold}}
	after, err := c.Replace(t.Context(), want, before.Seq)
	if err != nil {
		t.Fatal(err)
	}
	read, err := c.Table(t.Context())
	if diff := cmp.Diff(after, read, cmpopts.EquateComparable(d1.addr)); err != nil || diff != "" {
		t.Errorf("answered and read back: %v %s", err, diff)
	}
	if len(read.Entries) != 2 || read.Modes["id-moved"] != hold || read.Seq <= before.Seq {
		t.Errorf("table: %+v", read)
	}
	if was, now := before.Entries[1].Version, read.Entries[0].Version; was != now {
		t.Errorf("the entry that stayed went from version %d to %d", was, now)
	}
	if err := p.SetMode(t.Context(), "id-moved", pipeline.Mode{}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, visitor(t, p), "http://gone.example/"); got.Body != "d2" {
		t.Errorf("visitors get %d %s", got.Status, got.Body)
	}
}

func TestReplace_RefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	p := setup(t)
	c, _ := serveControl(t, p)
	d1 := newBackend(t, "d1")
	swing(t, p, entryOf("a", "a.example", d1))
	before, _ := p.Table(t.Context())
	a, b := entryOf("a", "a.example", d1), entryOf("b", "b.example", d1)
	thief := entryOf("b", "a.example", d1)
	for why, want := range map[string]Table{
		"an app twice":               {Entries: []pipeline.Entry{b, b}},
		"a route of two apps":        {Entries: []pipeline.Entry{a, thief}},
		"a mode without an entry":    {Entries: []pipeline.Entry{a}, Modes: map[string]pipeline.Mode{"id-b": {Kind: pipeline.ModeHold}}},
		"a mode that there is not":   {Entries: []pipeline.Entry{a}, Modes: map[string]pipeline.Mode{"id-a": {Kind: "sleep"}}},
		"an entry without an app id": {Entries: []pipeline.Entry{{Deployment: "d1"}}},
	} {
		if _, err := c.Replace(t.Context(), want, before.Seq); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := c.Replace(t.Context(), Table{}, before.Seq+1); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("not based on the newest table: %v", err)
	}
	after, _ := p.Table(t.Context())
	if diff := cmp.Diff(before, after, cmpopts.EquateComparable(d1.addr)); diff != "" {
		t.Errorf("a refused table changed something: %s", diff)
	}
}

func TestControl_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	p := setup(t)
	_, socket := serveControl(t, p)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	raw := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for path, body := range map[string]string{
		"/v1/apps/id-a":      `{"app_id":"id-a","app":"a","deployment":"d2","shares":[1,2]}`,
		"/v1/apps/id-a/mode": `{"kind":"hold","till":"2030-01-01T00:00:00Z"}`,
		"/v1/table":          `{"entries":[]} {"entries":[]}`,
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://proxy"+path, strings.NewReader(body))
		req.Header.Set("If-Match", "1")
		resp, err := raw.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if e, _ := p.Entry(t.Context(), "id-a"); e.Deployment != "d1" {
		t.Errorf("entry: %+v", e)
	}
}
