package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// ErrLocked is wrapped when another server owns the data folder.
var ErrLocked = errors.New("the data folder is in use by another server")

// lockFile takes the lock that says who owns the data. The kernel frees it
// when the process ends, however it ends, so the text in the file is only a
// hint for people.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(heldBy(path), f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	if err := writePID(f); err != nil {
		return nil, errors.Join(fmt.Errorf("write lock file: %w", err), f.Close())
	}
	return f, nil
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func heldBy(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%w: %s is held, by whom is not readable: %w", ErrLocked, path, err)
	}
	pid := strings.TrimSpace(string(text))
	if pid == "" {
		pid = "unknown"
	}
	return fmt.Errorf("%w: process %s holds %s; stop it first, or give this one another folder", ErrLocked, pid, path)
}
