package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"

	"github.com/swingbridge/swingbridge/migrations"
)

// Names of the files in the data folder.
const (
	databaseName = "swingbridge.db"
	lockName     = "swingbridge.lock"
)

// ErrNewer is wrapped when the file was written by a later version.
var ErrNewer = errors.New("the database was written by a newer version of swingbridge")

// Database is the installation's database with the lock that owns it. All
// writing goes through Write, which is a single connection on SQLite: a second
// writer beside a flood of deliveries would starve.
type Database struct {
	Write, Read *sql.DB

	lock *os.File
}

// OpenDatabase takes the data folder's lock and opens its SQLite file, which
// it makes on the first start and brings to the newest schema. A damaged file
// is refused with an error wrapping ErrDamaged, never replaced.
func OpenDatabase(ctx context.Context, dataDir string) (*Database, error) {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	db, err := openSound(ctx, filepath.Join(dir, databaseName))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	db.lock = lock
	return db, nil
}

// Close closes both pools and gives the data folder free.
func (d *Database) Close() error {
	err := errors.Join(d.Read.Close(), d.Write.Close())
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

func openSound(ctx context.Context, path string) (*Database, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := checkFiles(path); err != nil {
		return nil, err
	}
	db, err := connect(path)
	if err != nil {
		return nil, err
	}
	if err := quickCheck(ctx, path, db.Write); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := migrate(ctx, db.Write); err != nil {
		return nil, errors.Join(fmt.Errorf("bring the database to the newest schema: %w", err), db.Close())
	}
	return db, nil
}

// create makes the database under another name and renames it when it is
// whole: under its own name an empty file is always damage.
func create(ctx context.Context, path string) error {
	if _, err := os.Stat(path + "-wal"); err == nil {
		return damaged(path, "it is missing, but its write-ahead log is there")
	}
	draft := path + ".new"
	for _, name := range []string{draft, draft + "-wal", draft + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	db, err := connect(draft)
	if err != nil {
		return err
	}
	if err := errors.Join(migrate(ctx, db.Write), db.Close()); err != nil {
		return err
	}
	if err := os.Chmod(draft, 0o600); err != nil {
		return err
	}
	if err := syncPath(draft); err != nil {
		return err
	}
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func connect(path string) (*Database, error) {
	write, err := sql.Open("sqlite", dsn(path, false))
	if err != nil {
		return nil, fmt.Errorf("open for writing: %w", err)
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn(path, true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open for reading: %w", err), write.Close())
	}
	readers := max(4, 2*runtime.NumCPU())
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &Database{Write: write, Read: read}, nil
}

// dsn sets what every connection must have. Without _txlock=immediate a
// transaction that reads before it writes fails with SQLITE_BUSY beside
// another; synchronous FULL makes each commit survive a power cut.
func dsn(path string, readOnly bool) string {
	q := url.Values{"_txlock": {"immediate"}, "_dqs": {"0"}}
	for _, pragma := range []string{"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)", "foreign_keys(1)"} {
		q.Add("_pragma", pragma)
	}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

func migrate(ctx context.Context, db *sql.DB) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, db, migrations.For("sqlite"))
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("%w: its schema is %d, this version knows %d; start the newer version again", ErrNewer, current, target)
	}
	_, err = p.Up(ctx)
	return err
}
