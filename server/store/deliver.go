package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/swingbridge/swingbridge/pipeline"
)

// maxGroup is how many deliveries share a transaction, and so an fsync.
const maxGroup = 64

type deliverRequest struct {
	delivery pipeline.Delivery
	decide   func([]pipeline.Standing) pipeline.Delivery
	gone     <-chan struct{} // closed when nobody waits for the answer
	answer   chan deliverAnswer
}

type deliverAnswer struct {
	delivery pipeline.Delivery
	err      error
}

// Deliver stores a delivery, with what it causes, and returns once it is
// committed to disk. Any error means that it may not be stored: it has to be
// sent again.
//
// decide is told the apps that follow the delivery's repository and answers
// the delivery with its outcome; what a verdict asks for, Queue or SwingBack, is
// done in the same transaction. It runs inside that transaction: it must be
// quick, must not call the Store and may be called for a delivery whose commit
// then fails. A delivery id that is stored already answers OutcomeDuplicate with
// the verdicts from then, and decides nothing.
func (s *Store) Deliver(ctx context.Context, d pipeline.Delivery, decide func([]pipeline.Standing) pipeline.Delivery) (pipeline.Delivery, error) {
	if d.ID == "" || decide == nil {
		return pipeline.Delivery{}, fmt.Errorf("deliver: %w: no delivery id or nobody to decide", pipeline.ErrInvalid)
	}
	if d.ReceivedAt.IsZero() {
		d.ReceivedAt = s.now()
	}
	d.ReceivedAt = fromMicros(micros(d.ReceivedAt))
	r := &deliverRequest{delivery: d, decide: decide, gone: ctx.Done(), answer: make(chan deliverAnswer, 1)}
	a := s.submit(ctx, r)
	if a.err != nil {
		return pipeline.Delivery{}, fmt.Errorf("deliver %s: %w", d.ID, a.err)
	}
	return a.delivery, nil
}

func (s *Store) submit(ctx context.Context, r *deliverRequest) deliverAnswer {
	select {
	case <-s.closing:
		return deliverAnswer{err: ErrClosed}
	default:
	}
	select {
	case s.deliveries <- r:
	case <-s.closing:
		return deliverAnswer{err: ErrClosed}
	case <-ctx.Done():
		return deliverAnswer{err: context.Cause(ctx)}
	}
	select {
	case a := <-r.answer:
		return a
	case <-ctx.Done():
		return deliverAnswer{err: context.Cause(ctx)}
	case <-s.closed:
	}
	select {
	case a := <-r.answer:
		return a
	default:
		return deliverAnswer{err: ErrClosed}
	}
}

// commitDeliveries is the one goroutine that writes deliveries. While a group
// is being fsynced the next one gathers, so that groups grow with the load and
// a lone delivery waits for nobody.
func (s *Store) commitDeliveries() {
	defer close(s.closed)
	var c committer
	for {
		select {
		case <-s.closing:
			if err := c.close(); err != nil {
				s.o.Logger.Error("close prepared statements", "error", err)
			}
			return
		case first := <-s.deliveries:
			s.commitGroup(&c, s.gather(first))
		}
	}
}

func (s *Store) gather(first *deliverRequest) []*deliverRequest {
	group := make([]*deliverRequest, 0, maxGroup)
	for r := first; ; {
		select {
		case <-r.gone:
			r.answer <- deliverAnswer{err: context.Canceled}
		default:
			group = append(group, r)
		}
		if len(group) == maxGroup {
			return group
		}
		var more bool
		if r, more = s.waiting(); !more {
			return group
		}
	}
}

// waiting takes a delivery that is there. Those who got the last group's
// answers need a moment to bring their next one: without the yields they would
// fall into two groups that take turns, each with an fsync of its own.
func (s *Store) waiting() (*deliverRequest, bool) {
	for range 4 {
		select {
		case r := <-s.deliveries:
			return r, true
		default:
			runtime.Gosched()
		}
	}
	return nil, false
}

// commitGroup answers nobody before the commit, and everybody with its error
// if it fails.
func (s *Store) commitGroup(c *committer, group []*deliverRequest) {
	ctx := context.Background()
	answers := make([]deliverAnswer, len(group))
	changes, err := func() ([]Change, error) {
		if err := c.prepare(ctx, s.db.Write); err != nil {
			return nil, err
		}
		return s.transact(ctx, func(ctx context.Context, t *tx) error {
			g := &groupTx{tx: t, committer: c}
			for i, r := range group {
				var err error
				if answers[i], err = s.inSavepoint(ctx, g, r); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	if err == nil {
		s.announce(changes)
	}
	for i, r := range group {
		if err != nil {
			answers[i] = deliverAnswer{err: err}
		}
		r.answer <- answers[i]
	}
}

// inSavepoint keeps one delivery's failure from the others of its group. Its
// own error means that the transaction itself is broken: SQLite ends it on a
// full disk, and whatever followed would be outside of it.
func (s *Store) inSavepoint(ctx context.Context, g *groupTx, r *deliverRequest) (deliverAnswer, error) {
	if err := g.exec(ctx, g.save); err != nil {
		return deliverAnswer{}, fmt.Errorf("savepoint: %w", err)
	}
	before := len(g.changes)
	d, failed := s.record(ctx, g, r)
	if failed != nil {
		g.changes, g.standings = g.changes[:before], nil
		if err := g.exec(ctx, g.undo); err != nil {
			return deliverAnswer{}, errors.Join(failed, fmt.Errorf("back to savepoint: %w", err))
		}
	}
	if err := g.exec(ctx, g.release); err != nil {
		return deliverAnswer{}, errors.Join(failed, fmt.Errorf("release savepoint: %w", err))
	}
	return deliverAnswer{delivery: d, err: failed}, nil
}
