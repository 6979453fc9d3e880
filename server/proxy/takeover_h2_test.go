package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

func TestTakeOver_VisitorsOverHTTP2MoveAlong(t *testing.T) {
	t.Parallel()
	before := setup(t, withTLS, func(o *Options) { o.NoHTTP3 = true })
	_, socket := serveControl(t, before)
	swing(t, before, entryOf("app", "h2.example", newBackend(t, "one")))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var answers atomic.Int64
	var wg sync.WaitGroup
	c := visitor(t, before)
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	c.Transport.(*http.Transport).DialTLSContext = nil // the transport's own handshake offers h2
	c.Transport.(*http.Transport).TLSClientConfig = anyCertificate()
	c.Transport.(*http.Transport).DialContext = dialTo(before.https.address())
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://h2.example/", nil)
				resp, err := c.Do(req)
				if err != nil {
					t.Errorf("after %d answers: %v", answers.Load(), err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(body) != "one" || resp.ProtoMajor != 2 {
					t.Errorf("over %s %q (%v)", resp.Proto, body, err)
					return
				}
				answers.Add(1)
			}
		})
	}
	more := func(n int64) {
		from := answers.Load()
		until(t, "answers", func() bool { return answers.Load() > from+n || t.Failed() })
	}
	more(50)
	p, err := TakeOver(t.Context(), socket, before.o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, p)
	<-before.hands.quiet
	more(50)
	s, err := p.StatsOf(t.Context(), "id-app")
	if err != nil || len(s.Traffic) != 1 || s.Traffic[0].Total.Requests == 0 {
		t.Errorf("the new proxy answered nobody: %+v (%v)", s, err)
	}
	cancel()
	wg.Wait()
}

func anyCertificate() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func dialTo(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}
