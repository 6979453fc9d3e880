package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/store"
	"github.com/swingbridge/swingbridge/server/store/storetest"
)

func TestOpenDatabase_EveryConnectionIsDurable(t *testing.T) {
	t.Parallel()
	db := openDatabase(t, t.TempDir())
	want := map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"}
	for name, pool := range map[string]*sql.DB{"write": db.Write, "read": db.Read} {
		var conns []*sql.Conn
		for range min(4, pool.Stats().MaxOpenConnections) {
			conn, err := pool.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		for i, conn := range conns {
			for pragma, want := range want {
				var got string
				if err := conn.QueryRowContext(t.Context(), "pragma "+pragma).Scan(&got); err != nil || got != want {
					t.Errorf("%s connection %d: %s is %q, %v; want %q", name, i, pragma, got, err, want)
				}
			}
			closeAll(t, conn)
		}
	}
	if got := db.Write.Stats().MaxOpenConnections; got != 1 {
		t.Errorf("%d write connections, want 1", got)
	}
	if _, err := db.Read.ExecContext(t.Context(), `insert into settings (key, value) values ('a', 'b')`); err == nil {
		t.Error("a connection for reading wrote")
	}
}

func TestOpenDatabase_TransactionsTakeTheWriteLockAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDatabase(t, dir)
	tx, err := db.Write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	other, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "swingbridge.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, other)
	if second, err := other.BeginTx(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("a second writer began beside an idle transaction: %v, %v", second, err)
	}
}

func TestOpenDatabase_OneServerOwnsTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := store.OpenDatabase(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.OpenDatabase(t.Context(), dir)
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("second server: %v, want ErrLocked with the other's pid", err)
	}
	closeAll(t, first)
	openDatabase(t, dir)
}

func TestOpenDatabase_KeepsWhatWasThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filled(t, dir)
	db := openDatabase(t, dir)
	s := store.New(db, store.Options{})
	defer closeAll(t, s)
	if list, err := s.Deliveries(t.Context(), pipeline.Page{}); err != nil || len(list) != 20 {
		t.Errorf("%d deliveries, %v; want 20", len(list), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestOpenDatabase_BeginsAgainAfterAKilledFirstStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"swingbridge.db.new", "swingbridge.db.new-wal"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openDatabase(t, dir)
}

func TestOpenDatabase_RefusesANewerSchema(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := store.OpenDatabase(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Write.ExecContext(t.Context(), `insert into goose_db_version (version_id, is_applied) values (9000, 1)`)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, db)
	if _, err := store.OpenDatabase(t.Context(), dir); !errors.Is(err, store.ErrNewer) {
		t.Errorf("opened a newer database: %v", err)
	}
}

// TestOpenDatabase_TruncatedAnywhereIsRefused cuts the file at every 512
// bytes: none of the lengths may be taken for a shorter or an empty database.
func TestOpenDatabase_TruncatedAnywhereIsRefused(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(filled(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for size := 512 * worker; size < len(whole); size += 512 * 4 {
				refused(t, fmt.Sprintf("cut to %d of %d bytes", size, len(whole)), whole[:size], nil)
			}
		})
	}
	wg.Wait()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "swingbridge.db"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	openDatabase(t, dir) // the control: whole, it opens
}

func TestOpenDatabase_DamageIsNamed(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(filled(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 0xff
		return b
	}
	page := 4096
	refused(t, "header", flip(3), nil)
	refused(t, "page size", flip(16), nil)
	refused(t, "root of the schema", flip(100), nil)
	refused(t, "head of a page", flip(page), nil)
	refused(t, "text instead", []byte(strings.Repeat("not a database ", 1000)), nil)
	refused(t, "log with a broken header", whole, bytes.Repeat([]byte("x"), 64))
	refused(t, "log that is too short", whole, []byte{0x37})
	refused(t, "log without database", nil, bytes.Repeat([]byte("x"), 64))
}

// refused opens the bytes as a database and checks that the answer is damage,
// and that the file is as it was.
func refused(t *testing.T, what string, content, log []byte) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "swingbridge.db")
	for name, b := range map[string][]byte{path: content, path + "-wal": log} {
		if b == nil {
			continue
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Error(err)
		}
	}
	db, err := store.OpenDatabase(t.Context(), dir)
	if err == nil {
		closeAll(t, db)
	}
	if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("%s: %v, want ErrDamaged and what to do", what, err)
	}
	after, err := os.ReadFile(path)
	if content != nil && (err != nil || !bytes.Equal(after, content)) {
		t.Errorf("%s: the refused file was changed (%v)", what, err)
	}
}

// filled makes a database with some content, closed, and returns its path.
func filled(t *testing.T, dir string) string {
	t.Helper()
	db, err := store.OpenDatabase(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &storetest.World{Clock: storetest.NewClock()}
	w.Store = store.New(db, w.Options())
	a := w.App(t, "shop")
	w.Queue(t, a, pipeline.Push, strings.Repeat("a", 40))
	for i := range 20 {
		if _, err := w.Deliver(t.Context(), delivery(fmt.Sprint("guid-", i)), ignored(fmt.Sprint("guid-", i))); err != nil {
			t.Fatal(err)
		}
	}
	closeAll(t, w.Store)
	closeAll(t, db)
	return filepath.Join(dir, "swingbridge.db")
}

// delivery has a body of the size that GitHub's pushes have.
func delivery(id string) pipeline.Delivery {
	return pipeline.Delivery{
		ID: id, Event: "push", Repo: "Owner/shop", RepoID: 7, Ref: "refs/heads/main", Commit: strings.Repeat("a", 40),
		Sender: "ada", Body: bytes.Repeat([]byte("a push "), 7600/7),
	}
}

func ignored(id string) func([]pipeline.Standing) pipeline.Delivery {
	return func([]pipeline.Standing) pipeline.Delivery {
		d := delivery(id)
		d.Outcome, d.Reason, d.Message = pipeline.OutcomeIgnored, "branch", "Another branch."
		return d
	}
}
