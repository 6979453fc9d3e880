package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrDamaged is wrapped when the database's file is not sound.
var ErrDamaged = errors.New("the database is damaged")

func damaged(path, what string) error {
	name := filepath.Base(path)
	return fmt.Errorf("%w: %s: %s. Nothing was changed. Move %s, %s-wal and %s-shm together to a safe place and put "+
		"a backup of them in their place; the server does not begin with an empty database instead",
		ErrDamaged, path, what, name, name, name)
}

// checkFiles finds the damage that SQLite itself would take for an empty or
// shorter database. Format: https://www.sqlite.org/fileformat.html
func checkFiles(path string) error {
	head, size, err := readHead(path, 100)
	if err != nil {
		return fmt.Errorf("read database: %w", err)
	}
	if len(head) < 100 || !bytes.HasPrefix(head, []byte("SQLite format 3\x00")) {
		return damaged(path, "its header is not that of a database")
	}
	page := int64(binary.BigEndian.Uint16(head[16:18]))
	if page == 1 {
		page = 65536
	}
	if page < 512 || page&(page-1) != 0 {
		return damaged(path, "its header names an impossible page size")
	}
	wal, walSize, err := readHead(path+"-wal", 32)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read write-ahead log: %w", err)
	}
	// While the log holds pages a checkpoint may have been cut short, and the
	// log makes good for it; without one the file must be whole pages.
	if walSize == 0 && size%page != 0 {
		return damaged(path, "it ends within a page")
	}
	if walSize > 0 && !soundLogHead(wal) {
		return damaged(path, "the header of its write-ahead log is not sound, so its newest transactions would be lost")
	}
	return nil
}

func readHead(path string, n int64) ([]byte, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	head, err := io.ReadAll(io.LimitReader(f, n))
	return head, info.Size(), errors.Join(err, f.Close())
}

// soundLogHead checks the 32 bytes that, if wrong, make SQLite ignore the
// whole log. All zeros are what a power cut right after its creation leaves.
func soundLogHead(head []byte) bool {
	if len(head) < 32 {
		return false
	}
	if bytes.Equal(head, make([]byte, 32)) {
		return true
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch binary.BigEndian.Uint32(head) {
	case 0x377f0682:
	case 0x377f0683:
		order = binary.BigEndian
	default:
		return false
	}
	var s0, s1 uint32
	for i := 0; i < 24; i += 8 {
		s0 += order.Uint32(head[i:]) + s1
		s1 += order.Uint32(head[i+4:]) + s0
	}
	return s0 == binary.BigEndian.Uint32(head[24:]) && s1 == binary.BigEndian.Uint32(head[28:])
}

// quickCheck has SQLite read the whole file.
func quickCheck(ctx context.Context, path string, db *sql.DB) error {
	found, err := collect(ctx, db, scanString, "pragma quick_check(3)")
	if isDamage(err) {
		return damaged(path, err.Error())
	}
	if err != nil {
		return fmt.Errorf("check database: %w", err)
	}
	if len(found) != 1 || found[0] != "ok" {
		return damaged(path, strings.Join(found, "; "))
	}
	return nil
}
