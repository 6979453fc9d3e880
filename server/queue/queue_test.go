package queue_test

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/swingbridge/swingbridge/server/queue/queuetest"
)

func TestQueue_KeepsItsPromisesOnSQLite(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, openSQLite)
}

// openSQLite opens what the store opens: one connection that writes, and a pool
// that reads. Syncs are off, no machine is unplugged here.
func openSQLite(t *testing.T) (write, read *sql.DB) {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "queue.db") + "?_txlock=immediate"
	for _, pragma := range []string{"journal_mode(WAL)", "synchronous(OFF)", "busy_timeout(10000)"} {
		dsn += "&_pragma=" + url.QueryEscape(pragma)
	}
	open := func() *sql.DB {
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	write, read = open(), open()
	write.SetMaxOpenConns(1)
	migration, err := os.ReadFile("../../migrations/0002_jobs.sqlite.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, _, _ := strings.Cut(string(migration), "-- +goose Down")
	if _, err := write.ExecContext(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	return write, read
}
