// Package migrations holds the database's schema as embedded SQL, one file per
// step and dialect: NNNN_name.sqlite.sql, later also NNNN_name.postgres.sql.
package migrations

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed *.sql
var files embed.FS

// For returns the files of one dialect ("sqlite"), under their own names.
func For(dialect string) fs.FS {
	return dialectFS{FS: files, suffix: "." + dialect + ".sql"}
}

// dialectFS hides the files of the other dialects, which carry the same
// numbers.
type dialectFS struct {
	embed.FS
	suffix string
}

// ReadDir lists the files of the dialect.
func (d dialectFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := d.FS.ReadDir(name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return !strings.HasSuffix(e.Name(), d.suffix)
	}), err
}
