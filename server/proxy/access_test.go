package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// accessOf reads an app's access log.
func accessOf(t *testing.T, p *Proxy, app string) (out []accessRecord) {
	t.Helper()
	f, err := os.Open(filepath.Join(p.path(accessFolder), app+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r accessRecord
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		out = append(out, r)
	}
	return out
}

func TestAccessLog_HasALineForEachRequestAndNoSecrets(t *testing.T) {
	t.Parallel()
	p := prepared(t, func(o *Options) { o.AccessLog = true })
	stop := run(t, p)
	b := newBackend(t, "d1")
	e := entryOf("a", "access.example", b)
	e.Redirects = []stack.Redirect{{Host: "www.access.example", To: "access.example"}}
	swing(t, p, e)
	swing(t, p, entryOf("empty", "empty.example"))
	c := visitor(t, p)
	get(t, c, "http://access.example/x%20y?token=secret", "X-Request-Id", "id-1", "User-Agent", "test \"agent\"/1",
		"Authorization", "Bearer secret", "Cookie", "session=secret", "Referer", "http://a.example/?secret")
	get(t, c, "http://access.example/status/404")
	get(t, c, "http://www.access.example/old")
	conn := dialWS(t, c, "access.example")
	if _, err := echo(t.Context(), conn, "secret"); err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseNow()
	until(t, "the WebSocket's end", func() bool { return inflight(t, p, "d1") == 0 })
	stop()
	got := accessOf(t, p, "a")
	raw, _ := os.ReadFile(filepath.Join(p.path(accessFolder), "a.log"))
	if strings.Contains(string(raw), "secret") {
		t.Errorf("a secret is in the log: %s", raw)
	}
	for _, r := range got {
		if r.Time.IsZero() || r.Duration <= 0 || r.FirstByte <= 0 || r.FirstByte > r.Duration || !saneID(r.ID) {
			t.Errorf("times or id of %+v", r)
		}
	}
	record := func(path string, status int, bytes int64) accessRecord {
		return accessRecord{ID: "", Client: "127.0.0.1", Method: "GET", Host: "access.example", Path: path, Protocol: "HTTP/1.1", Status: status,
			Bytes: bytes, Commit: "c0ffee", Deployment: "d1", Color: "blue", Target: b.addr.String(), UserAgent: "Go-http-client/1.1"}
	}
	want := []accessRecord{record("/x y", 200, 2), record("/status/404", 404, 0), record("/old", 308, 0), record("/ws", 101, 0)}
	want[0].ID, want[0].UserAgent = "id-1", `test "agent"/1`
	want[2].Host, want[2].Commit, want[2].Deployment, want[2].Color, want[2].Target = "www.access.example", "", "", "", ""
	for i := 1; i < len(got); i++ {
		got[i].ID = ""
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(accessRecord{}, "Time", "Duration", "FirstByte"), cmpopts.IgnoreUnexported(accessRecord{})); diff != "" {
		t.Error(diff)
	}
}

func TestAccessLog_IsOffWhereNotAsked(t *testing.T) {
	t.Parallel()
	p := prepared(t)
	stop := run(t, p)
	swing(t, p, entryOf("a", "a.example", newBackend(t, "d1")))
	get(t, visitor(t, p), "http://a.example/")
	stop()
	if _, err := os.Stat(p.path(accessFolder)); !os.IsNotExist(err) {
		t.Errorf("there is a folder: %v", err)
	}
}

func TestAccessLog_IsRotatedBySizeAndCount(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l, err := newAccessLog(folder, 1, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	r := accessRecord{Path: strings.Repeat("x", 1000), app: "a"}
	for range (accessFiles + 3) << 10 { // a little more than a MiB each 1024
		l.records <- r
	}
	l.close()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != accessFiles+1 {
		t.Errorf("%d files, want %d: %v %v", len(files), accessFiles+1, files, err)
	}
	for _, file := range files {
		raw, _ := os.ReadFile(file)
		if len(raw) > 1<<20 || len(raw) == 0 || raw[0] != '{' || raw[len(raw)-1] != '\n' {
			t.Errorf("%s has %d bytes, or half a line", file, len(raw))
		}
	}
}

// stuck is a disk that does not answer.
type stuck struct{ asked, let chan struct{} }

func (s *stuck) Write(b []byte) (int, error) { s.asked <- struct{}{}; <-s.let; return len(b), nil }
func (s *stuck) Close() error                { return nil }

func TestAccessLog_DropsLinesRatherThanWait(t *testing.T) {
	t.Parallel()
	disk := &stuck{asked: make(chan struct{}, 10), let: make(chan struct{})}
	l := &accessLog{
		log: slog.New(slog.DiscardHandler), files: map[string]*accessFile{"a": {out: disk}},
		records: make(chan accessRecord, 10), ending: make(chan struct{}), ended: make(chan struct{}),
	}
	go l.run()
	l.put(accessRecord{app: "a", Path: strings.Repeat("x", accessBuffer)})
	<-disk.asked
	for range 15 {
		l.put(accessRecord{app: "a"})
	}
	if n := l.dropped.Load(); n != 5 {
		t.Errorf("%d lines dropped, want 5", n)
	}
	close(disk.let)
	l.close()
}

func TestAppCounts_AreBoundedByTheTable(t *testing.T) {
	t.Parallel()
	p := setup(t)
	client, _ := serveControl(t, p)
	b := newBackend(t, "d1")
	gone := newBackend(t, "gone")
	gone.die(t)
	swing(t, p, entryOf("a", "counts.example", b))
	swing(t, p, entryOf("b", "silent.example", gone))
	c := visitor(t, p)
	for _, path := range []string{"/", "/", "/status/404", "/status/500"} {
		get(t, c, "http://counts.example"+path)
	}
	get(t, c, "http://silent.example/")
	get(t, c, "http://nobody.example/")
	go func() {
		resp, err := c.Get("http://counts.example/held")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}()
	<-b.got
	defer close(b.hold)
	until(t, "what is over is counted", func() bool {
		s, err := client.StatsOf(t.Context(), "id-a")
		return err == nil && s.Apps[0].Took.Counts[tookBuckets] == 4
	})
	s, err := client.Stats(t.Context())
	if err != nil || len(s.Apps) != 2 {
		t.Fatalf("%+v, %v", s.Apps, err)
	}
	a := s.Apps[0]
	if got := fmt.Sprintln(a.App, a.Inflight, a.Bytes, a.Requests); got != "a 1 4 map[1xx:0 2xx:2 3xx:0 4xx:1 5xx:1]\n" {
		t.Errorf("counted %s", got)
	}
	if a.Took.Sum <= 0 || len(a.Took.Bounds) != tookBuckets {
		t.Errorf("took %+v", a.Took)
	}
	if n := s.Apps[1].DialErrors; n == 0 {
		t.Error("an app that does not answer has no dial errors")
	}
	if err := p.Drop(t.Context(), "id-b"); err != nil {
		t.Fatal(err)
	}
	if s, err := p.Stats(t.Context()); err != nil || len(s.Apps) != 1 {
		t.Errorf("after an app was dropped: %+v, %v", s.Apps, err)
	}
	if got := get(t, c, "http://silent.example/"); got.Status != http.StatusNotFound {
		t.Errorf("dropped: %d", got.Status)
	}
}
