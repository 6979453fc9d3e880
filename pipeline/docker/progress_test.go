package docker

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	controlapi "github.com/moby/buildkit/api/services/control"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestProgress_IsReadableLines(t *testing.T) {
	t.Parallel()
	at := func(ms int) *time.Time { t := time.UnixMilli(int64(ms)); return &t }
	var out bytes.Buffer
	p := newProgress(&out)
	for _, s := range []*news{
		{Vertexes: []*vertex{{Digest: "a", Name: "planned, not begun"}}},
		{Vertexes: []*vertex{{Digest: "a", Name: "[1/2] FROM base", Started: at(0), Completed: at(10), Cached: true}}},
		{Vertexes: []*vertex{{Digest: "b", Name: "[2/2] RUN make \\\n   all", Started: at(0)}}},
		{Logs: []*output{{Vertex: "b", Data: []byte("compi"), Timestamp: *at(100)}}},
		{Logs: []*output{{Vertex: "b", Data: []byte("ling\r\nlinking\nunfinis"), Timestamp: *at(1200)}}},
		{Logs: []*output{{Vertex: "unknown", Data: []byte("nobody's\n")}}},
		{Vertexes: []*vertex{{Digest: "b", Name: "[2/2] RUN make", Started: at(0), Completed: at(2000), Error: "exit code: 2"}}},
		{Vertexes: []*vertex{{Digest: "c", Name: "export", Started: at(0), Completed: at(300)}}},
	} {
		if err := p.status(s); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.Join([]string{
		"#1 [1/2] FROM base CACHED",
		`#2 [2/2] RUN make \ all`,
		"#2 1.2 compiling",
		"#2 1.2 linking",
		"#2 2.0 unfinis",
		"#2 ERROR exit code: 2",
		"#3 export",
		"#3 DONE 0.3s",
		"",
	}, "\n")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if s := p.failed(); s == nil || s.number != 2 || len(s.last) != 3 {
		t.Errorf("failed step %+v", s)
	}
}

func TestProgress_EndlessLinesTakeLittleMemory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out)
	now := time.Now()
	if err := p.status(&news{Vertexes: []*vertex{{Digest: "a", Name: "RUN yes", Started: &now}}}); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := p.status(&news{Logs: []*output{{Vertex: "a", Data: bytes.Repeat([]byte("y"), 10_000)}}}); err != nil {
			t.Fatal(err)
		}
		if held := len(p.steps["a"].partial); held >= longLine {
			t.Fatalf("%d bytes held", held)
		}
	}
	if n := len(p.steps["a"].last); n > tail {
		t.Errorf("%d lines held", n)
	}
}

func TestProgress_ReadsTheEnginesMessages(t *testing.T) {
	t.Parallel()
	raw, err := (&controlapi.StatusResponse{Vertexes: []*controlapi.Vertex{{
		Digest: "a", Name: "step", Started: timestamppb.New(time.UnixMilli(0)), Completed: timestamppb.New(time.UnixMilli(1500)),
	}}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	aux, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := newProgress(&out)
	if err := p.trace(aux); err != nil || out.String() != "#1 step\n#1 DONE 1.5s\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	for _, bad := range []string{`{}`, `"!!"`, `"//8="`} {
		if err := p.trace(json.RawMessage(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func FuzzProgress(f *testing.F) {
	f.Add([]byte("\x0a\x03\x0a\x01a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		aux, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		_ = newProgress(&out).trace(aux)
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "#") {
				t.Errorf("a line of its own: %q", line)
			}
		}
	})
}
