package proxy

import (
	"context"
	"time"
)

const (
	// settle is how long connections that are open when the listeners close
	// may still send a request. Shutting down at once drops requests that
	// were just read.
	settle = 150 * time.Millisecond

	// settleTaken is the same after a take-over, where nobody waits for the
	// end: time enough for visitors on kept connections to hear that theirs
	// closes before it does.
	settleTaken = time.Second

	// farewell bounds the end of streams after they were asked to end.
	farewell = 2 * time.Second
)

// drain ends serving: no new connections, then no new requests, then nothing.
func (p *Proxy) drain(e *engine) {
	begin := p.o.Now()
	p.draining.Store(true) // answers now tell visitors to close the connection
	close(p.leaving)       // what waits for a change would wait in vain
	p.stopListening()
	wait := settle
	if p.wasTaken() {
		wait = settleTaken
		p.stopQUIC() // or half of the packets of new visitors would come here, to nobody
		defer p.reports()()
	}
	_ = p.waitClosed(wait) // most visitors stay longer
	if err := e.shutdown(); err != nil {
		p.log.Warn("shut down the public servers", "error", err)
	}
	p.sayQuiet()
	defer p.endStreamsBy(begin.Add(p.o.Grace - min(farewell, p.o.Grace/4)))()
	if err := p.waitClosed(p.o.Grace - p.o.Now().Sub(begin)); err != nil {
		p.log.Warn("closing connections that are open at the end of the drain", "connections", p.conns.count())
	}
	if p.quic != nil {
		// The end of an answer may still be in QUIC's buffers, of which nothing
		// tells: stopping now would leave its visitor waiting for it.
		time.Sleep(settle)
	}
	e.stop()
	if err := p.waitClosed(farewell); err != nil {
		if err := p.conns.closeAll(); err != nil {
			p.log.Debug("cut connections", "error", err)
		}
	}
	if p.hands.from != nil { // what it still has open, an heir hears of through this process
		ctx, cancel := context.WithTimeout(context.Background(), p.o.Grace-p.o.Now().Sub(begin))
		defer cancel()
		if err := p.hands.from.wait(ctx); err != nil {
			p.log.Warn("leaving before the process that this one took over from", "open", p.hands.from.counts())
		}
	}
	p.log.Info("proxy stopped", "took", p.o.Now().Sub(begin))
}

// endStreamsBy ends streams in the second half of the time until then, each at a
// moment of its own: cutting them all at the end would have their visitors come
// back all at once, and might tear a message.
func (p *Proxy) endStreamsBy(by time.Time) (stop func() bool) {
	return time.AfterFunc(by.Sub(p.o.Now())/2, func() {
		p.changes.Lock()
		defer p.changes.Unlock()
		for _, t := range p.traffic {
			t.streams.endAll(by)
		}
	}).Stop
}

// waitClosed waits until visitors have no connection open, at most for d.
func (p *Proxy) waitClosed(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return p.conns.wait(ctx)
}
