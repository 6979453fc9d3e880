package store_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/swingbridge/swingbridge/server/store"
	"github.com/swingbridge/swingbridge/server/store/storetest"
)

func TestStore_SQLite(t *testing.T) {
	t.Parallel()
	empty := emptyDatabase(t)
	storetest.Run(t, func(t *testing.T, o store.Options) (*store.Store, func(store.Options) *store.Store) {
		return openSQLite(t, empty, o)
	})
}

// emptyDatabase is the file of a database that was just made. To copy it costs
// a test less than to bring one of its own to the newest schema.
func emptyDatabase(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	db, err := store.OpenDatabase(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, db)
	file, err := os.ReadFile(filepath.Join(dir, "swingbridge.db"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// openSQLite opens a store on a copy of the database, in a folder of its own.
func openSQLite(t *testing.T, file []byte, o store.Options) (*store.Store, func(store.Options) *store.Store) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "swingbridge.db"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	db := openDatabase(t, dir)
	again := func(o store.Options) *store.Store {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
		s := store.New(db, o)
		t.Cleanup(func() { closeAll(t, s) })
		return s
	}
	return again(o), again
}

func openDatabase(t *testing.T, dir string) *store.Database {
	t.Helper()
	db, err := store.OpenDatabase(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(t, db) })
	return db
}

func closeAll(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
