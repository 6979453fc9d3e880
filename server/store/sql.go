package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/swingbridge/swingbridge/pipeline"
)

// querier is what a read needs of a pool, a connection or a transaction.
type querier interface {
	rowser
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type rowser interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// scanner is a row, of one or of many.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q rowser, scan func(scanner) (T, error), query string, args ...any) (out []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func scanString(r scanner) (string, error) {
	var v string
	err := r.Scan(&v)
	return v, err
}

// found names what was looked for where there is no row.
func found(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), pipeline.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", fmt.Sprintf(format, args...), err)
	}
	return nil
}

// affected runs a statement and says how many rows it changed.
func (t *tx) affected(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// isUnique reports whether a unique index refused a row.
func isUnique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// isDamage reports whether the file is not a sound database.
func isDamage(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_CORRUPT || e.Code()&0xff == sqlite3.SQLITE_NOTADB)
}

// noTransaction reports whether a rollback or savepoint found none to act on:
// after some errors SQLite has rolled back by itself.
func noTransaction(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_ERROR && strings.Contains(e.Error(), "no transaction is active")
}

// micros is how times are kept; zero is "not yet".
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// timeColumn scans a time as micros wrote it.
type timeColumn struct{ t *time.Time }

// Scan implements sql.Scanner.
func (c timeColumn) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return fmt.Errorf("time column holds %T", src)
	}
	*c.t = fromMicros(us)
	return nil
}

// jsonColumn scans and writes a value as JSON text.
type jsonColumn struct{ v any }

// Scan implements sql.Scanner.
func (c jsonColumn) Scan(src any) error {
	switch s := src.(type) {
	case string:
		return json.Unmarshal([]byte(s), c.v)
	case []byte:
		return json.Unmarshal(s, c.v)
	}
	return fmt.Errorf("JSON column holds %T", src)
}

func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// places writes n placeholders from $first on.
func places(first, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + strconv.Itoa(first+i)
	}
	return strings.Join(list, ", ")
}

// limit is the size of a page.
func limit(p pipeline.Page) int {
	switch {
	case p.Limit <= 0:
		return 50
	case p.Limit > 200:
		return 200
	}
	return p.Limit
}

// idAlphabet is that of pipeline.NewID, in its order.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// newID returns an id for a row of the table that sorts after all that are
// there, also within one millisecond and when the clock went back: lists and
// "newest wins" go by it.
func (s *Store) newID(ctx context.Context, t *tx, table string) (string, error) {
	var last string
	if err := t.QueryRowContext(ctx, "select coalesce(max(id), '') from "+table).Scan(&last); err != nil {
		return "", fmt.Errorf("newest id: %w", err)
	}
	if id := pipeline.NewID(s.o.Now()); id > last {
		return id, nil
	}
	return successor(last), nil
}

// successor is the next id in sorting order.
func successor(id string) string {
	b := []byte(id)
	for i := len(b) - 1; i >= 0; i-- {
		at := strings.IndexByte(idAlphabet, b[i])
		if at+1 < len(idAlphabet) {
			b[i] = idAlphabet[at+1]
			break
		}
		b[i] = idAlphabet[0]
	}
	return string(b)
}
