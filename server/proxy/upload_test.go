package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestUpload_IsBoundedWithAndWithoutALength(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "d1")
	b.answer("/early", func(w http.ResponseWriter, _ *http.Request) { // before it has read all
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "early")
	})
	p := setup(t)
	e := entryOf("a", "upload.example", b)
	e.Front.MaxBody = 1000
	swing(t, p, e)
	c := visitor(t, p)
	send := func(path string, size int, chunked bool) string {
		t.Helper()
		var body io.Reader = strings.NewReader(strings.Repeat("x", size))
		if chunked {
			body = io.MultiReader(body) // of no known length
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://upload.example"+path, body)
		resp, err := c.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(text)))
	}
	for _, chunked := range []bool{false, true} {
		if got := send("/upload", 1000, chunked); got != "200 1000" {
			t.Errorf("chunked %t, at the limit: %s", chunked, got)
		}
		if got := send("/upload", 1001, chunked); !strings.HasPrefix(got, "413 ") || !strings.Contains(got, "at most 1000 bytes") {
			t.Errorf("chunked %t, over the limit: %s", chunked, got)
		}
	}
	if got := send("/early", 900, true); got != "200 early" {
		t.Errorf("an answer before the end of the body: %s", got)
	}
	s, err := p.StatsOf(t.Context(), e.AppID)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Traffic[0].Total; n.DialErrors != 0 || n.ServerErrors != 0 {
		t.Errorf("what visitors did is counted as the target's errors: %+v", n)
	}
}

func TestUpload_ThatIsBrokenOffIsNoErrorOfTheTarget(t *testing.T) {
	t.Parallel()
	p := setup(t)
	e := entryOf("a", "broken.example", newBackend(t, "d1"))
	swing(t, p, e)
	c, err := dial(t.Context(), p.http.address())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: broken.example\r\nContent-Length: 100\r\n\r\nhalf")
	until(t, "the request at the target", func() bool { return inflight(t, p, "d1") == 1 })
	_ = c.Close()
	until(t, "the request's end", func() bool { return inflight(t, p, "d1") == 0 })
	s, err := p.StatsOf(t.Context(), e.AppID)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Traffic[0].Total; n.DialErrors != 0 || n.ServerErrors != 0 || n.Requests != 1 {
		t.Errorf("counted %+v", n)
	}
}

func TestUpload_MayBeSlowButNotStall(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "d1")
	p := setup(t, func(o *Options) { o.limits = limits{header: patience, stall: time.Second} })
	swing(t, p, entryOf("a", "slow.example", b))
	open := func(path, head string) (net.Conn, *bufio.Reader) {
		t.Helper()
		c, err := dial(t.Context(), p.http.address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: slow.example\r\n"+head+"\r\n")
		return c, bufio.NewReader(c)
	}
	slow, slowIn := open("/upload", "Transfer-Encoding: chunked\r\n")
	_, pollIn := open("/held", "Content-Length: 0\r\n")
	_, stalledIn := open("/upload", "Content-Length: 5\r\n")
	stalled := make(chan string, 1)
	go func() {
		line, err := stalledIn.ReadString('\n')
		stalled <- fmt.Sprint(line, err)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var got string
	for got == "" {
		select {
		case <-tick.C:
			if _, err := io.WriteString(slow, "1\r\nx\r\n"); err != nil {
				t.Fatalf("the slow upload was cut: %v", err)
			}
		case got = <-stalled:
		}
	}
	if !strings.Contains(got, " 408 ") {
		t.Errorf("the upload that stalled: %q", got)
	}
	// More than the limit has passed for the other two.
	_, _ = io.WriteString(slow, "0\r\n\r\n")
	close(b.hold)
	for what, in := range map[string]*bufio.Reader{"the slow upload": slowIn, "the long poll": pollIn} {
		if name, err := readRelease(in); err != nil || name != "d1" && what == "the slow upload" {
			t.Errorf("%s: %q, %v", what, name, err)
		}
	}
}

func TestHead_MustComeInTimeAndFit(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "d1")
	b.answer("/seen", func(http.ResponseWriter, *http.Request) { t.Error("the app has seen the request") })
	p := setup(t, func(o *Options) { o.limits = limits{header: 300 * time.Millisecond, stall: patience} })
	swing(t, p, entryOf("a", "head.example", b))
	c, err := dial(t.Context(), p.http.address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, c); ended <- err }()
	_, _ = io.WriteString(c, "GET /seen HTTP/1.1\r\nHost: head.example\r\n")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-tick.C:
			_, _ = io.WriteString(c, "X: y\r\n") // always a little more: slowloris
		case err := <-ended:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a head that never ends is waited for")
			}
			waiting = false
		}
	}
	long := strings.Repeat("x", maxHeader+8<<10) // net/http adds 4 KiB to the limit
	for what, request := range map[string]string{
		"header": "GET /seen HTTP/1.1\r\nHost: head.example\r\nX-Long: " + long + "\r\n\r\n",
		"line":   "GET /seen?" + long + " HTTP/1.1\r\nHost: head.example\r\n\r\n",
	} {
		c, err := dial(t.Context(), p.http.address())
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(c, request) }()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a %s that is too long: %v, %v", what, resp, err)
		}
		_ = c.Close()
	}
}
