package logs

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// file is a log that is being written or followed.
type file struct {
	limit int64
	users int // guarded by Dir.mu

	mu      sync.Mutex
	out     *os.File // open while someone writes
	writers int
	size    int64
	changed chan struct{} // closed at the next change; nil while nobody waits
}

func (f *file) startWriting(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writers > 0 {
		f.writers++
		return nil
	}
	out, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := out.Stat()
	if err != nil {
		return errors.Join(err, out.Close())
	}
	f.out, f.size, f.writers = out, info.Size(), 1
	return nil
}

func (f *file) stopWriting() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writers--; f.writers > 0 {
		return nil
	}
	err := errors.Join(f.out.Sync(), f.out.Close())
	f.out = nil
	return err
}

// append writes what fits under the limit, then one line that says what was
// left out, then nothing more. A log longer than the limit has that line.
func (f *file) append(p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(p) == 0 || f.size > f.limit {
		return nil
	}
	if room := f.limit - f.size; int64(len(p)) > room {
		notice := fmt.Sprintf("\n[the log ends here: it reached %d bytes]\n", f.limit)
		p = append(p[:room:room], notice...)
	}
	n, err := f.out.Write(p)
	f.size += int64(n)
	f.tellLocked()
	return err
}

func (f *file) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tellLocked()
}

func (f *file) tellLocked() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// change returns a channel that is closed at the next change. Look at the file
// after the call, then wait.
func (f *file) change() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

func (f *file) length() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// writer is one opened log. Its masker holds back what may be the beginning of
// a secret until the next write or Close shows what it is.
type writer struct {
	dir        *Dir
	deployment string
	file       *file

	mu     sync.Mutex
	masker *masker
	closed bool
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, fmt.Errorf("write log: %w", os.ErrClosed)
	}
	if err := w.file.append(w.masker.mask(p)); err != nil {
		return 0, fmt.Errorf("write log: %w", err)
	}
	return len(p), nil
}

// Offset is where the next line begins: in bytes from the log's beginning,
// over all that ever opened it. What is held back is not yet counted.
func (w *writer) Offset() int64 { return w.file.length() }

// Close writes what was held back and brings the log to the disk. The log can
// be opened again.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	err := errors.Join(w.file.append(w.masker.flush()), w.file.stopWriting())
	w.dir.release(w.deployment, w.file)
	if err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	return nil
}
