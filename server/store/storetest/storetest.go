// Package storetest is the conformance suite of the store: what has to hold on
// every database.
package storetest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/store"
)

// Open makes a store on an empty database, and a function that opens that
// database again. Both are closed at the end of the test.
type Open func(t *testing.T, o store.Options) (s *store.Store, again func(store.Options) *store.Store)

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"Apps":      testApps,
		"Queue":     testQueue,
		"Moves":     testMoves,
		"Random":    testRandomMoves,
		"Steps":     testSteps,
		"Lists":     testLists,
		"Deliver":   testDeliver,
		"Heads":     testHeads,
		"Releases":  testReleases,
		"LastGood":  testLastGood,
		"Env":       testEnv,
		"Files":     testFiles,
		"Seals":     testSeals,
		"Addresses": testAddresses,
		"Fleet":     testFleet,
		"Reports":   testReports,
		"Audit":     testAudit,
		"Tokens":    testTokens,
		"Settings":  testSettings,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// World is a store with what it is given, watched.
type World struct {
	*store.Store
	Clock *Clock

	again func(store.Options) *store.Store

	mu      sync.Mutex
	changes []store.Change
}

// Setup opens a store whose jobs are settings named "job.DEPLOYMENT", written
// in the transaction like real ones, and whose deployments get two reports.
func Setup(t *testing.T, open Open) *World {
	t.Helper()
	w := &World{Clock: NewClock()}
	w.Store, w.again = open(t, w.Options())
	return w
}

// Reopen opens the same database once more, with other options.
func (w *World) Reopen(t *testing.T, change func(*store.Options)) *store.Store {
	t.Helper()
	o := w.Options()
	change(&o)
	return w.again(o)
}

// Options are those that Setup opens the store with.
func (w *World) Options() store.Options {
	return store.Options{
		Sealer: NewSealer("a key"),
		Now:    w.Clock.Now,
		Enqueue: func(ctx context.Context, tx *sql.Tx, d pipeline.Deployment) error {
			if d.Subject == "no job for this" {
				return errors.New("the queue refuses")
			}
			_, err := tx.ExecContext(ctx, `insert into settings (key, value) values ($1, 'yes')`, "job."+d.ID)
			return err
		},
		Dequeue: func(ctx context.Context, tx *sql.Tx, id string) error {
			_, err := tx.ExecContext(ctx, `delete from settings where key = $1`, "job."+id)
			return err
		},
		Cancel: func(ctx context.Context, tx *sql.Tx, id string, cause error) (bool, error) {
			r, err := tx.ExecContext(ctx, `update settings set value = $1 where key = $2`, cause.Error(), "job."+id)
			if err != nil {
				return false, err
			}
			n, err := r.RowsAffected()
			return n > 0, err
		},
		Canceled: func(ctx context.Context, tx *sql.Tx, id string) (text string, err error) {
			err = tx.QueryRowContext(ctx, `select value from settings where key = $1 and value <> 'yes'`, "job."+id).Scan(&text)
			if errors.Is(err, sql.ErrNoRows) {
				return "", nil
			}
			return text, err
		},
		Committed: func(c store.Change) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changes = append(w.changes, c)
		},
		Reports: func(pipeline.App) []pipeline.ReportTarget {
			return []pipeline.ReportTarget{pipeline.ReportCheck, pipeline.ReportDeployment}
		},
	}
}

// Changes returns what was announced since the last call.
func (w *World) Changes() []store.Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.changes
	w.changes = nil
	return list
}

// App makes an app that follows owner/NAME.
func (w *World) App(t *testing.T, name string) pipeline.App {
	t.Helper()
	a, err := w.CreateApp(t.Context(), pipeline.App{
		Name: name, Repo: "Owner/" + name, Branch: "main", Compose: []string{"compose.yml"},
		Routes: []pipeline.Route{{Host: name + ".example.org", Service: "web", Port: 8000}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Queue queues a deployment of the commit.
func (w *World) Queue(t *testing.T, a pipeline.App, trigger pipeline.Trigger, commit string) pipeline.Deployment {
	t.Helper()
	d, err := w.QueueDeployment(t.Context(), pipeline.NewDeployment{AppID: a.ID, Commit: commit, Trigger: trigger, Actor: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Walk moves a deployment along the states, beginning at its own.
func (w *World) Walk(t *testing.T, id string, states ...pipeline.State) {
	t.Helper()
	for _, to := range states {
		m := pipeline.Move{Deployment: id, From: w.Get(t, id).State, To: to}
		if err := w.Move(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// GoLive takes a queued deployment to live, retiring the one that was.
func (w *World) GoLive(t *testing.T, id string) {
	t.Helper()
	w.Walk(t, id, pipeline.Running, pipeline.CuttingOver, pipeline.Watching)
	m := pipeline.Move{Deployment: id, From: pipeline.Watching, To: pipeline.Live}
	was, err := w.LiveDeployment(t.Context(), w.Get(t, id).AppID)
	if err == nil {
		m.Retire = was.ID
	} else if !errors.Is(err, pipeline.ErrNotFound) {
		t.Fatal(err)
	}
	if err := w.Move(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// carry takes a queued deployment to live with the stack that is live.
func (w *World) carry(t *testing.T, id string) {
	t.Helper()
	was, err := w.LiveDeployment(t.Context(), w.Get(t, id).AppID)
	must(t, err)
	w.Walk(t, id, pipeline.Running)
	must(t, w.Move(t.Context(), pipeline.Move{Deployment: id, From: pipeline.Running, To: pipeline.Live, Retire: was.ID, Carries: was.StackID()}))
}

// SaveRelease gives a deployment its release.
func (w *World) SaveRelease(ctx context.Context, deployment string, r pipeline.Release) error {
	return w.Record(ctx, pipeline.Record{Deployment: deployment, Release: &r})
}

// Get reads a deployment.
func (w *World) Get(t *testing.T, id string) pipeline.Deployment {
	t.Helper()
	d, err := w.Deployment(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// HasJob reports whether the deployment's job waits.
func (w *World) HasJob(t *testing.T, id string) bool {
	t.Helper()
	v, err := w.Setting(t.Context(), "job."+id)
	if err != nil {
		t.Fatal(err)
	}
	return v == "yes"
}

// Clock is a clock that only tests move.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock begins at a time with a fraction below a microsecond, which no
// database keeps.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.FixedZone("somewhere", 3600))}
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock and returns the new time as a database keeps it.
func (c *Clock) Add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now.UTC().Truncate(time.Microsecond)
}

// Sealer seals with AES-GCM under a key made of any text.
type Sealer struct{ aead cipher.AEAD }

// NewSealer makes a sealer.
func NewSealer(key string) Sealer {
	sum := sha256.Sum256([]byte(key))
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		panic(err) // the key has the right size
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return Sealer{aead}
}

// Seal implements store.Sealer.
func (s Sealer) Seal(plain []byte, aad string) ([]byte, error) {
	return s.aead.Seal(nil, nil, plain, []byte(aad)), nil
}

// Open implements store.Sealer.
func (s Sealer) Open(sealed []byte, aad string) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(aad))
	if err != nil {
		return nil, fmt.Errorf("unknown key or wrong place: %w", err)
	}
	return plain, nil
}

// wantErr checks that err wraps want and mentions each of the words.
func wantErr(t *testing.T, err, want error, words ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want one that wraps %v", err, want)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not mention %q", err, word)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sha makes a commit id out of a letter.
func sha(letter string) string { return strings.Repeat(letter, 40) }
