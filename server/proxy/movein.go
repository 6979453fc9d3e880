package proxy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// moveIn moves the table file of an earlier version, which had it in the data
// folder itself, to the proxy's own folder. It fails with ErrLocked if a proxy
// of such a version runs: its lock is another one.
func (o *Options) moveIn() error {
	old, oldLock := filepath.Join(o.DataDir, tableFile), filepath.Join(o.DataDir, lockFile)
	if absent(old) && absent(oldLock) {
		return nil
	}
	lock, err := takeLock(oldLock)
	if err != nil {
		return err
	}
	defer lock.Close()
	if !absent(old) {
		if !absent(o.path(tableFile)) {
			return fmt.Errorf("there are two routing tables, %s and %s: move away the older one", old, o.path(tableFile))
		}
		if err := os.Rename(old, o.path(tableFile)); err != nil {
			return fmt.Errorf("move the routing table: %w", err)
		}
		if err := errors.Join(syncFolder(o.path("")), syncFolder(o.DataDir)); err != nil {
			return fmt.Errorf("move the routing table: %w", err)
		}
		o.Logger.Info("moved the routing table", "to", o.path(tableFile))
	}
	if err := os.Remove(oldLock); err != nil {
		return fmt.Errorf("remove the lock file of an earlier version: %w", err)
	}
	return nil
}

func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}
