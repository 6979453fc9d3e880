// Package store keeps everything durable in SQL: apps, deliveries,
// deployments with their steps, releases, environments, the outbox of reports,
// the audit log, tokens, and the addresses of containers. Each exported method
// is one transaction, and what follows from a change (a job, an outbox row, a
// superseded deployment) is written in the transaction of that change.
//
// The SQL is what both SQLite and PostgreSQL take; only opening the database
// is SQLite's own.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ErrClosed is returned once Close was called.
var ErrClosed = errors.New("the store is closed")

// Options are what a Store needs beside its database.
type Options struct {
	Sealer Sealer           // seals releases and environments
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default

	// Enqueue inserts the deployment's job in the transaction that queues it.
	Enqueue func(ctx context.Context, tx *sql.Tx, d pipeline.Deployment) error
	// Dequeue removes the job of a deployment, unless it has started.
	Dequeue func(ctx context.Context, tx *sql.Tx, deploymentID string) error
	// Cancel ends the job of a deployment with the cause, in the transaction of
	// the delivery that asks for it; false if it has none.
	Cancel func(ctx context.Context, tx *sql.Tx, deploymentID string, cause error) (bool, error)
	// Canceled is the text of the cause with which the job of a deployment was
	// canceled; empty if it was not. Nil: none ever is.
	Canceled func(ctx context.Context, tx *sql.Tx, deploymentID string) (string, error)
	// Committed is told, after the commit, of each thing that a transaction
	// changed. It must not block.
	Committed func(Change)
	// Reports says which outbox rows a new deployment gets; nil: none.
	Reports func(app pipeline.App) []pipeline.ReportTarget
}

// Sealer encrypts what must not be readable in the file. aad binds a sealed
// value to its place.
type Sealer interface {
	Seal(plain []byte, aad string) ([]byte, error)
	Open(sealed []byte, aad string) ([]byte, error)
}

// Change is what a transaction changed.
type Change struct {
	App        string // name
	AppID      string
	Deployment string         // empty: the app itself
	State      pipeline.State // of the deployment, now
	Step       string         // set if only this step of the deployment changed
	Queued     bool           // a job was inserted
	Canceled   bool           // its job was canceled; nothing else changed yet
}

// Store is the durable memory of one installation.
type Store struct {
	db *Database
	o  Options

	deliveries chan *deliverRequest
	closing    chan struct{}
	closed     chan struct{} // closed when the committer has ended
	closeOnce  sync.Once
}

// New returns a store on an open database and starts its committer, which runs
// until Close.
func New(db *Database, o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Store{
		db: db, o: o,
		deliveries: make(chan *deliverRequest, maxGroup),
		closing:    make(chan struct{}),
		closed:     make(chan struct{}),
	}
	go s.commitDeliveries()
	return s
}

// Close ends the committer after the deliveries it has begun and waits for it.
// Deliver fails from here on. The database stays open: it is its opener's.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { close(s.closing) })
	<-s.closed
	return nil
}

// now is the clock in the precision of the database.
func (s *Store) now() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// tx is a transaction with what it changed so far.
type tx struct {
	*sql.Tx
	changes []Change
}

func (t *tx) changed(c Change) { t.changes = append(t.changes, c) }

// write runs fn in a transaction and announces its changes after the commit.
// The context ends the wait for the write connection but not the transaction:
// an interrupt could strike between two statements of it.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, tx *tx) error) error {
	changes, err := s.transact(ctx, fn)
	if err != nil {
		return err
	}
	s.announce(changes)
	return nil
}

func (s *Store) transact(ctx context.Context, fn func(ctx context.Context, tx *tx) error) (_ []Change, err error) {
	conn, err := s.db.Write.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for the write connection: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ctx = context.WithoutCancel(ctx)
	begun, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	t := &tx{Tx: begun}
	if err := fn(ctx, t); err != nil {
		return nil, errors.Join(err, rollback(begun))
	}
	if err := begun.Commit(); err != nil {
		return nil, errors.Join(fmt.Errorf("commit: %w", err), rollback(begun))
	}
	return t.changes, nil
}

// rollback ends a transaction that failed. One that SQLite ended by itself
// (disk full, I/O error) is well.
func rollback(t *sql.Tx) error {
	if err := t.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) && !noTransaction(err) {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

func (s *Store) announce(changes []Change) {
	if s.o.Committed == nil {
		return
	}
	for _, c := range changes {
		s.o.Committed(c)
	}
}

// read runs fn on one snapshot, for reads that take more than one query.
func (s *Store) read(ctx context.Context, fn func(q querier) error) error {
	t, err := s.db.Read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin reading: %w", err)
	}
	return errors.Join(fn(t), rollback(t))
}
