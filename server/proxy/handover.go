package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const (
	// handOverLimit is how long table changes wait for a take-over to succeed
	// or fail. Starting Caddy takes most of it, well under a second.
	handOverLimit = 15 * time.Second

	// reportEvery is how often the heir hears of requests that ended.
	reportEvery = 50 * time.Millisecond

	// shutting is how much later a server may take its last request than it
	// was told to take none: Caddy does not wait until it has heard.
	shutting = 50 * time.Millisecond
)

// errNotNow is wrapped where a take-over has to wait for another one, or for
// the proxy's start.
var errNotNow = fmt.Errorf("the proxy starts, ends or changes hands already: %w", pipeline.ErrUnreachable)

// succession is how a proxy comes after one process and before another.
type succession struct {
	turn    chan struct{} // holds one while the proxy changes hands, in either direction, and once it has ended
	from    *predecessor  // nil for the first
	charge  chan struct{} // closed once this process accepts visitors
	taken   chan struct{} // closed once another process has taken over
	quiet   chan struct{} // closed once this one, taken over, routes no new request
	heir    *wire         // to the process that took over, set before taken is closed
	changes gate
	last    sync.Once      // see lastTurn
	late    sync.WaitGroup // what goes on after the take-over: HTTP/3 comes later
}

func newSuccession() succession {
	return succession{
		turn: make(chan struct{}, 1), charge: make(chan struct{}), taken: make(chan struct{}), quiet: make(chan struct{}),
	}
}

// Taken is closed once another process has taken over: Run drains then, and
// returns.
func (p *Proxy) Taken() <-chan struct{} { return p.hands.taken }

func (p *Proxy) wasTaken() bool {
	select {
	case <-p.hands.taken:
		return true
	default:
		return false
	}
}

// lastTurn waits until no take-over is under way and lets none begin. The end
// of a process must not come between two steps of it.
func (p *Proxy) lastTurn() {
	p.hands.last.Do(func() {
		select {
		case p.hands.turn <- struct{}{}:
		case <-p.hands.taken:
		}
	})
}

// postTakeOver hands the proxy over to the process that asks for it.
func (p *Proxy) postTakeOver(w http.ResponseWriter, r *http.Request) {
	if asked := r.Header.Get("Upgrade"); asked != takeOverProtocol {
		w.Header().Set("Upgrade", takeOverProtocol)
		answer(w, nil, fmt.Errorf("%w take-over: the running proxy speaks %s, not %q; stop it and start the new one",
			pipeline.ErrInvalid, takeOverProtocol, asked))
		return
	}
	select {
	case p.hands.turn <- struct{}{}:
	default:
		answer(w, nil, errNotNow)
		return
	}
	taken := false
	defer func() {
		if !taken { // else it never changes hands again
			<-p.hands.turn
		}
	}()
	select {
	case <-p.started:
	default:
		answer(w, nil, errNotNow)
		return
	}
	to, err := upgrade(w)
	if err != nil {
		p.log.Warn("begin a take-over", "error", err)
		return
	}
	if taken = p.handOver(to); !taken {
		_ = to.close() // it was told
	}
}

// upgrade ends HTTP on the connection.
func upgrade(w http.ResponseWriter) (*wire, error) {
	c, _, err := http.NewResponseController(w).Hijack() // nothing is read ahead: the asker waits for the answer
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("descriptors do not pass over %s", c.LocalAddr().Network()), c.Close())
	}
	to := newWire(conn)
	err = to.limit(handOverLimit)
	if err == nil {
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+takeOverProtocol+"\r\n\r\n")
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return to, nil
}

// handOver goes through the steps and reports whether the other process has
// the proxy now. Where it has not, this one never stopped to serve.
func (p *Proxy) handOver(to *wire) bool {
	p.freeze()
	err := p.steps(to)
	if err != nil {
		p.log.Warn("a take-over failed, this proxy goes on", "error", err)
		_ = to.limit(time.Second)
		_ = to.send(message{Step: stepAborted, Why: err.Error()}) // if it still listens
		p.hands.changes.reopen()
		return false
	}
	p.log.Info("another process has taken over")
	p.hands.heir = to
	close(p.hands.taken)
	return true
}

// freeze lets no change of the table begin, and waits for one that has begun.
func (p *Proxy) freeze() {
	p.changes.Lock()
	defer p.changes.Unlock()
	p.hands.changes.shut()
}

func (p *Proxy) steps(to *wire) error {
	if _, err := to.receive(stepAsk); err != nil {
		return err
	}
	offer := message{Step: stepOffer, Seq: p.table.Load().seq}
	files := []syscall.Conn{p.lock}
	for _, l := range []struct {
		name, address string
		*listener
	}{{"http", p.o.HTTP, p.http}, {"https", p.o.HTTPS, p.https}} {
		if l.listener != nil {
			offer.Listeners = append(offer.Listeners, passed{l.name, l.address})
			files = append(files, l.TCPListener)
		}
	}
	if err := to.send(offer, files...); err != nil {
		return err
	}
	p.o.at("old " + stepOffer)
	if _, err := to.receive(stepReady); err != nil {
		return err
	}
	if err := to.send(message{Step: stepYours, Inflight: p.open()}); err != nil {
		return err
	}
	p.o.at("old " + stepYours)
	// Longer than the other one has for it: where it is late, it does not begin.
	if err := to.limit(2 * handOverLimit); err != nil {
		return err
	}
	_, err := to.receive(stepTaken)
	return err
}

// open counts what is in flight by deployment, that of predecessors included.
func (p *Proxy) open() map[string]int {
	out := p.hands.from.counts()
	p.changes.Lock()
	defer p.changes.Unlock()
	for id, t := range p.traffic {
		if n := int(t.inflight.Load()); n > 0 {
			out[id] += n
		}
	}
	return out
}

// reports begins to tell the heir what is still open here, and to do what it
// asks. When that is stopped, the heir knows that nothing is open any more.
func (p *Proxy) reports() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() { p.report(ctx) })
	both.Go(p.obey)
	return func() {
		cancel()
		if err := p.hands.heir.close(); err != nil {
			p.log.Debug("close the connection to the process that took over", "error", err)
		}
		both.Wait()
	}
}

// obey ends streams for the heir until there is no connection to it.
func (p *Proxy) obey() {
	if err := p.hands.heir.limit(0); err != nil {
		return
	}
	for {
		m, err := p.hands.heir.receive(stepStreams)
		if err != nil {
			return
		}
		if _, err := p.EndStreams(context.Background(), m.Deployment, m.By); err != nil {
			p.log.Warn("end streams for the process that took over", "error", err)
		}
	}
}

// sayQuiet tells the heir, if there is one, that no new request is routed here.
func (p *Proxy) sayQuiet() {
	if p.wasTaken() {
		_ = p.waitClosed(shutting)
		p.tell(stepQuiet, p.open())
		close(p.hands.quiet)
	}
}

// report does it whenever that changes, until ctx ends.
func (p *Proxy) report(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for last := map[string]int(nil); ; {
		if now := p.open(); last == nil || !maps.Equal(now, last) {
			if !p.tell(stepInflight, now) {
				return
			}
			last = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell reports whether the heir heard it. If not it has died, and who starts in
// its place finds nobody to ask.
func (p *Proxy) tell(step string, inflight map[string]int) bool {
	err := p.hands.heir.tell(message{Step: step, Inflight: inflight})
	if err != nil {
		p.log.Debug("tell the process that took over", "step", step, "error", err)
	}
	return err == nil
}

// patient makes what changes the table wait while the proxy changes hands, so
// that the caller has a slow answer and not a refusal. Who was taken over has
// only refusals left.
func (p *Proxy) patient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.URL.Path != takeOverPath {
			ctx, cancel := context.WithTimeout(r.Context(), handOverLimit)
			defer cancel()
			p.hands.changes.pass(ctx, p.hands.quiet)
		}
		next.ServeHTTP(w, r)
	})
}
