package store_test

import (
	"log/slog"
	"testing"

	"github.com/swingbridge/swingbridge/server/store"
	"github.com/swingbridge/swingbridge/server/store/storetest"
)

func TestStore_SQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, openSQLite)
}

// openSQLite opens a store in a folder of its own.
func openSQLite(t *testing.T, o store.Options) (*store.Store, func(store.Options) *store.Store) {
	t.Helper()
	db := openDatabase(t, t.TempDir())
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
