package logs

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces gives one piece of text with each read.
type pieces []string

func (p *pieces) Read(to []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(to, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; (*p)[0] == "" {
		*p = (*p)[1:]
	}
	return n, nil
}

func TestMasked_HidesSecretsWhereverTheirPiecesAreDivided(t *testing.T) {
	t.Parallel()
	for spelling, text := range spellings(canary) {
		line := "before " + text + " after\n"
		for cut := range len(line) {
			from := pieces{line[:cut], line[cut:]}
			got, err := io.ReadAll(Masked(io.NopCloser(&from), []string{canary}))
			if err != nil || strings.Contains(string(got), text) || !strings.HasPrefix(string(got), "before ") || !strings.HasSuffix(string(got), " after\n") {
				t.Errorf("%s, divided at %d: %q, %v", spelling, cut, got, err)
			}
		}
	}
	if err := iotest.TestReader(Masked(io.NopCloser(strings.NewReader("key: hunter22, again hunter2")), []string{"hunter22"}), []byte("key: ***, again ***")); err != nil {
		t.Error(err)
	}
}

// What is followed is shown as it comes, but for what may become a secret.
func TestMasked_ShowsALineWithoutWaitingForTheNext(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	text := Masked(r, []string{"hunter22"})
	said := make(chan error, 1)
	go func() {
		_, err := io.WriteString(w, "a line\nhunt")
		said <- err
	}()
	got := make([]byte, 64)
	n, err := text.Read(got)
	if err != nil || string(got[:n]) != "a line\n" {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if err := <-said; err != nil {
		t.Fatal(err)
	}
	go w.CloseWithError(errors.New("connection lost"))
	if rest, err := io.ReadAll(text); len(rest) > 0 || err == nil {
		t.Errorf("after the stream broke: %q, %v", rest, err)
	}
	if err := text.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(got); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the stream is not closed: %v", err)
	}
}
