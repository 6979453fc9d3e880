package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

const (
	takeOverPath = "/v1/take-over"

	// findOwner is how long a take-over looks for the process that owns the
	// data folder: it may be about to start, or to change hands itself.
	findOwner = 10 * time.Second
	lookAgain = 50 * time.Millisecond
)

// errNobody is wrapped where no process listens on the control socket.
var errNobody = errors.New("no proxy answers on the control socket")

// TakeOver continues the proxy that answers on the control socket: Run serves
// on its listeners, with its table and its lock, and no connection is refused
// or dropped in between. Where no proxy runs it is as New. It fails, and the
// other proxy goes on, where that one has another data folder or does not let
// go; a serve with its data plane in process has no control socket and cannot
// be taken over. HTTP/3 is not part of it.
func TakeOver(ctx context.Context, socket string, o Options) (*Proxy, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, findOwner)
	defer cancel()
	for why := error(nil); ; {
		from, err := approach(ctx, socket)
		if err == nil {
			return succeed(from, o)
		}
		if errors.Is(err, errNobody) {
			p, alone := New(o)
			if alone == nil {
				o.Logger.Info("no proxy runs that could be taken over: starting as the first")
				return p, nil
			}
			if !errors.Is(alone, ErrLocked) {
				return nil, alone
			}
			err = fmt.Errorf("%w; it has no control socket at %s: a serve with its data plane in process cannot be taken over", alone, socket)
		} else if why != nil && (ctx.Err() != nil || timedOut(err)) {
			err = why // that the time is up says less than what came before
		} else if !errors.Is(err, errNotNow) {
			return nil, err
		}
		why = err
		wait := time.NewTimer(lookAgain)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("take over: %w", err)
		}
	}
}

// timedOut reports whether the time was up, which a connection may say before
// the context does.
func timedOut(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// approach asks the running proxy for what it has.
func approach(ctx context.Context, socket string) (*predecessor, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %w", errNobody, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the running proxy: %w", err)
	}
	w := newWire(c.(*net.UnixConn))
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	from, err := request(ctx, w, socket)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask the running proxy: %w", err), w.close())
	}
	return from, nil
}

// request goes through the steps up to the offer.
func request(ctx context.Context, w *wire, socket string) (*predecessor, error) {
	if err := w.limit(handOverLimit); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://proxy"+takeOverPath, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", takeOverProtocol)
	if err := r.Write(w.conn); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(w.conn), r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusSwitchingProtocols:
	case http.StatusServiceUnavailable:
		return nil, errNotNow
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return nil, errors.New("it is of a version that cannot be taken over; stop it and start this one")
	default:
		raw, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
		return nil, errors.Join(refusal(resp.Status, raw), err)
	}
	if err := w.send(message{Step: stepAsk}); err != nil {
		return nil, err
	}
	offer, files, err := w.receiveFiles(stepOffer)
	from := &predecessor{wire: w, socket: socket, offer: offer, files: files, gone: make(chan struct{})}
	if err == nil && len(files) != 1+len(offer.Listeners) {
		err = fmt.Errorf("%d descriptors came for a lock and %d listeners", len(files), len(offer.Listeners))
	}
	if err != nil {
		return nil, errors.Join(err, from.drop())
	}
	return from, nil
}

// succeed makes the proxy that goes on with what the other one offered.
func succeed(from *predecessor, o Options) (p *Proxy, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("take over: %w", err), from.drop(), from.wire.close())
		}
	}()
	o.at("new " + stepOffer)
	lock, err := passLock(from.files[0], o.path(lockFile))
	if err != nil {
		return nil, err
	}
	from.files = from.files[1:]
	p, err = build(o, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	p.hands.from = from
	p.hands.turn <- struct{}{} // until the other one is quiet
	p.hands.changes.shut()
	if seq := p.table.Load().seq; seq != from.offer.Seq {
		return nil, errors.Join(fmt.Errorf("the table file is at change %d, the running proxy at %d", seq, from.offer.Seq), p.Close())
	}
	return p, nil
}

// inherit returns the listener that came under a name, if its address is the
// same in the settings of both processes; nil if not.
func (p *Proxy) inherit(name, address string) (*net.TCPListener, error) {
	from := p.hands.from
	if from == nil {
		return nil, nil
	}
	for i, l := range from.offer.Listeners {
		if l.Name != name || l.Address != address || from.files[i] == nil {
			continue
		}
		l, err := net.FileListener(from.files[i]) // has a descriptor of its own
		if err = errors.Join(err, from.files[i].Close()); err != nil {
			return nil, err
		}
		from.files[i] = nil
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return nil, errors.Join(fmt.Errorf("the running proxy's listener for %s is no TCP listener", name), l.Close())
		}
		return tcp, nil
	}
	return nil, nil
}

// takeCharge begins to accept, if another process is taken over only after
// that has agreed.
func (p *Proxy) takeCharge(ctx context.Context) error {
	from := p.hands.from
	if from == nil {
		close(p.hands.charge)
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = from.wire.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	p.o.at("new before " + stepReady)
	if err := from.agree(ctx); err != nil {
		return errors.Join(fmt.Errorf("take over: %w", err), from.drop())
	}
	p.o.at("new " + stepYours)
	if err := from.dismiss(ctx); err != nil {
		return errors.Join(fmt.Errorf("take over: %w", err), from.drop())
	}
	close(p.hands.charge)
	if err := writeOwner(p.lock); err != nil {
		p.log.Warn("write the lock file", "error", err)
	}
	from.followed = true
	go from.follow(p.inCharge)
	p.hands.late.Go(func() { p.bindQUIC(ctx) })
	p.log.Info("took over from the running proxy")
	return from.drop()
}

// inCharge lets the table change again, and the next process take over.
func (p *Proxy) inCharge() {
	p.hands.changes.reopen()
	<-p.hands.turn
}

// passLock takes over the lock that comes with an open file.
func passLock(f *os.File, path string) (*os.File, error) {
	want, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("find the lock file: %w", err)
	}
	have, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at the lock: %w", err)
	}
	if !os.SameFile(want, have) {
		return nil, errors.New("the running proxy has another data folder: give both the same settings")
	}
	// No lock is taken by this: it fails if the open file were not the owner's.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// isGone tells the end of a process from an answer that is only late.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
