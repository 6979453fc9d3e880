package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const patience = 30 * time.Second

func setup(t *testing.T) *Dir {
	t.Helper()
	return New(t.TempDir() + "/logs")
}

func opened(t *testing.T, d *Dir, secrets ...string) pipeline.Log {
	t.Helper()
	l, err := d.Open("d1", secrets)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t *testing.T, l pipeline.Log, text string) {
	t.Helper()
	if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(text), err)
	}
}

func closed(t *testing.T, l pipeline.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, d *Dir) string {
	t.Helper()
	data, err := d.ReadAt("d1", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLog_GoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := opened(t, d)
	write(t, l, "one\n")
	closed(t, l)

	l = opened(t, New(d.path)) // as after a restart
	if l.Offset() != 4 {
		t.Errorf("offset %d, want 4", l.Offset())
	}
	write(t, l, "two\n")
	if l.Offset() != 8 {
		t.Errorf("offset %d, want 8", l.Offset())
	}
	closed(t, l)
	closed(t, l)
	if _, err := l.Write([]byte("three")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a write after the end: %v", err)
	}
	if got := all(t, d); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
	if got, _ := d.ReadAt("d1", 4, 2); string(got) != "tw" {
		t.Errorf("from 4, 2 bytes: %q", got)
	}
	for _, offset := range []int64{8, 9, 1 << 40} {
		if got, err := d.ReadAt("d1", offset, 10); len(got) != 0 || err != nil {
			t.Errorf("at %d: %q %v", offset, got, err)
		}
	}
	if size, err := d.Size("d1"); size != 8 || err != nil {
		t.Errorf("size %d %v", size, err)
	}
	info, err := os.Stat(d.name("d1", ".log"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestLog_ThatWasNeverOpenedIsEmpty(t *testing.T) {
	t.Parallel()
	d := setup(t)
	if got, err := d.ReadAt("d1", 0, 10); len(got) != 0 || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if size, err := d.Size("d1"); size != 0 || err != nil {
		t.Errorf("%d %v", size, err)
	}
	if lines, err := d.Tail("d1", 3); len(lines) != 0 || err != nil {
		t.Errorf("%q %v", lines, err)
	}
}

func TestLog_HostileNamesStayOutside(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for _, id := range []string{"", ".", "..", "../x", "a/b", "a\x00b", "a\nb", "%2e%2e", "d1.log", strings.Repeat("a", 65)} {
		_, open := d.Open(id, nil)
		_, read := d.ReadAt(id, 0, 1)
		_, size := d.Size(id)
		var follow error
		for _, follow = range d.Follow(t.Context(), id, 0) {
			break
		}
		for _, err := range []error{open, read, size, follow, d.Finish(id)} {
			if !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", id, err)
			}
		}
	}
	if _, err := os.Stat(d.path); err == nil {
		t.Error("a folder was made for a hostile name")
	}
}

func TestLog_EndsAtItsLimitAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.limit = 100
	for range 3 {
		l := opened(t, d)
		for range 5 {
			write(t, l, strings.Repeat("x", 29)+"\n")
		}
		closed(t, l)
	}
	got := all(t, d)
	if strings.Count(got, "x") != 97 || strings.Count(got, "the log ends here") != 1 || !strings.HasSuffix(got, "]\n") {
		t.Errorf("%q", got)
	}
}

func TestLog_TailGivesTheLastLines(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := opened(t, d)
	for i := range 20000 {
		write(t, l, fmt.Sprintf("line %d\n", i))
	}
	closed(t, l)
	got, err := d.Tail("d1", 2)
	if err != nil || strings.Join(got, "|") != "line 19998|line 19999" {
		t.Errorf("%q %v", got, err)
	}
	if got, _ = d.Tail("d1", 1<<20); len(got) < 5000 || !strings.HasPrefix(got[0], "line ") {
		t.Errorf("%d lines, the first %q", len(got), got[0])
	}
}

func TestFollow_TwentyReadersSeeAllOfIt(t *testing.T) {
	t.Parallel()
	d := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var readers sync.WaitGroup
	got := make([]bytes.Buffer, 20)
	offsets := make([]int64, 20)
	for i := range got {
		readers.Go(func() { // some before the log is there
			for chunk, err := range d.Follow(ctx, "d1", 0) {
				if err != nil {
					t.Errorf("reader %d: %v", i, err)
					return
				}
				got[i].Write(chunk.Data)
				offsets[i] = chunk.Offset
			}
		})
	}
	var want strings.Builder
	for part := range 3 {
		l := opened(t, d)
		for i := range 500 {
			line := fmt.Sprintf("part %d line %d: grün und %s\n", part, i, strings.Repeat("é", i%7))
			want.WriteString(line)
			write(t, l, line[:i%len(line)])
			write(t, l, line[i%len(line):])
		}
		closed(t, l)
	}
	if err := d.Finish("d1"); err != nil {
		t.Fatal(err)
	}
	readers.Wait()
	for i := range got {
		if got[i].String() != want.String() || offsets[i] != int64(want.Len()) {
			t.Errorf("reader %d got %d bytes of %d, offset %d", i, got[i].Len(), want.Len(), offsets[i])
		}
	}
	if len(d.open) != 0 {
		t.Errorf("%d logs are still held in memory", len(d.open))
	}
}

func TestFollow_ResumesAtAnOffsetAfterARestart(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := opened(t, d)
	write(t, l, "one\ntwo\n")
	closed(t, l)
	var first int64
	for chunk, err := range d.Follow(t.Context(), "d1", 4) {
		if err != nil || string(chunk.Data) != "two\n" || chunk.Offset != 8 {
			t.Fatalf("%+v %v", chunk, err)
		}
		first = chunk.Offset
		break
	}
	d = New(d.path)
	l = opened(t, d)
	write(t, l, "three\n")
	closed(t, l)
	if err := d.Finish("d1"); err != nil {
		t.Fatal(err)
	}
	var rest string
	for chunk, err := range New(d.path).Follow(t.Context(), "d1", first) {
		if err != nil {
			t.Fatal(err)
		}
		rest += string(chunk.Data)
	}
	if rest != "three\n" {
		t.Errorf("%q", rest)
	}
}

func TestFollow_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := opened(t, d)
	write(t, l, "one\n")
	defer l.Close()
	var last error
	for chunk, err := range d.Follow(ctx, "d1", 0) {
		last = err
		if len(chunk.Data) > 0 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("%v", last)
	}
}

func TestFollow_AFinishedLogThatEndsWithinACharacterIsYieldedWhole(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := opened(t, d)
	write(t, l, "a\xc3")
	closed(t, l)
	if err := d.Finish("d1"); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for chunk, err := range d.Follow(t.Context(), "d1", 0) {
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(chunk.Data))
	}
	if strings.Join(parts, "|") != "a|\xc3" {
		t.Errorf("%q", parts)
	}
	l = opened(t, d)
	closed(t, l)
	if over, err := d.Finished("d1"); over || err != nil {
		t.Errorf("a log that was opened again is finished: %v %v", over, err)
	}
}
