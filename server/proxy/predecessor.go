package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"sync"
	"time"
)

// quietLimit is how long the table cannot change after a take-over because the
// other process, which still routes by the table of before, says nothing.
const quietLimit = 10 * time.Second

// predecessor is the process that this one took over from, as long as requests
// are open there.
type predecessor struct {
	*wire
	socket string
	offer  message
	files  []*os.File    // of the offer's listeners; nil where taken. Before that the lock's too
	gone   chan struct{} // closed at the end of follow

	followed bool // follow was called

	mu       sync.Mutex
	inflight map[string]int
}

// agree has the other process let go. Where it died instead, there is nobody
// left to ask: everything that is needed to go on is here.
func (d *predecessor) agree(ctx context.Context) error {
	err := d.send(message{Step: stepReady})
	if err == nil {
		var yours message
		if yours, err = d.receive(stepYours); err == nil {
			d.note(yours.Inflight)
			// The other one waits longer than this for what is said next.
			return d.limit(handOverLimit)
		}
	}
	return d.missing(ctx, err)
}

// dismiss tells the other process that it is taken over. It is told before
// anything is accepted here: of two that serve, one would serve a table that
// nobody changes.
func (d *predecessor) dismiss(ctx context.Context) error {
	if err := d.send(message{Step: stepTaken}); err != nil {
		return d.missing(ctx, err)
	}
	return nil
}

// missing is nil where the other process does not answer because it is gone.
func (d *predecessor) missing(ctx context.Context, err error) error {
	if !isGone(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c := NewClient(d.socket)
	defer c.Close()
	if h, alive := c.Health(ctx); alive == nil {
		return fmt.Errorf("process %d goes on serving: %w", h.PID, err)
	}
	return nil
}

// follow takes note of what is open there until the process is gone. It calls
// quiet once, as soon as no new request is routed there.
func (d *predecessor) follow(quiet func()) {
	defer close(d.gone)
	var once sync.Once
	late := time.AfterFunc(quietLimit, func() { once.Do(quiet) })
	defer func() {
		late.Stop()
		d.note(nil)
		once.Do(quiet)
	}()
	if err := d.limit(0); err != nil {
		return
	}
	for {
		m, err := d.receive(stepInflight, stepQuiet)
		if err != nil {
			return
		}
		d.note(m.Inflight)
		if m.Step == stepQuiet {
			once.Do(quiet)
		}
	}
}

func (d *predecessor) note(inflight map[string]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inflight = inflight
}

// counts is what is open there, by deployment; of no predecessor nothing.
func (d *predecessor) counts() map[string]int {
	if d == nil {
		return map[string]int{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inflight == nil {
		return map[string]int{}
	}
	return maps.Clone(d.inflight)
}

func (d *predecessor) count(deployment string) int {
	if d == nil {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inflight[deployment]
}

// endStreams has the deployment's streams end there too.
func (d *predecessor) endStreams(deployment string, by time.Time) error {
	if d == nil {
		return nil
	}
	select {
	case <-d.gone:
		return nil
	default:
	}
	err := d.tell(message{Step: stepStreams, Deployment: deployment, By: by})
	if isGone(err) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// wait returns nil once the process is gone.
func (d *predecessor) wait(ctx context.Context) error {
	if d == nil {
		return nil
	}
	select {
	case <-d.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave ends the connection: the other process goes on where it has not let go
// yet, else it has nobody to report to.
func (d *predecessor) leave() error {
	if d == nil {
		return nil
	}
	err := errors.Join(d.drop(), d.close())
	if d.followed {
		<-d.gone
	}
	return err
}

// drop closes the descriptors that nobody took.
func (d *predecessor) drop() error {
	var err error
	for i, f := range d.files {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		d.files[i] = nil
	}
	return err
}
