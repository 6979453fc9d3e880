// Package logs keeps the logs of deployments: one append-only file each, masked
// before a byte reaches it. The byte offset in that file is a line's address
// everywhere; it stays true over restarts because nothing is ever rewritten.
package logs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/swingbridge/swingbridge/pipeline"
)

// DefaultLimit is how large a log may become, in bytes.
const DefaultLimit = 64 << 20

// maxRead is the most that ReadAt returns at once, in bytes.
const maxRead = 4 << 20

// ErrName is wrapped where a deployment's id could not be a file's name.
var ErrName = errors.New("not an id")

// Dir is a folder of logs. It is safe for concurrent use; no other process may
// write to the folder.
type Dir struct {
	path  string
	limit int64

	mu   sync.Mutex
	open map[string]*file // those that someone writes or follows
}

// New returns the logs kept in the folder path, which is made when the first
// log is opened.
func New(path string) *Dir {
	return &Dir{path: path, limit: DefaultLimit, open: map[string]*file{}}
}

// Open returns the deployment's log for appending, goes on where it ended and
// reopens it if it was finished. Each of secrets that has at least MinSecret
// bytes is masked, in every spelling that Forms lists.
func (d *Dir) Open(deployment string, secrets []string) (pipeline.Log, error) {
	if err := checkName(deployment); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	f := d.acquire(deployment)
	if err := f.startWriting(d.name(deployment, ".log")); err != nil {
		d.release(deployment, f)
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := os.Remove(d.name(deployment, ".end")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(err, f.stopWriting())
		d.release(deployment, f)
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &writer{dir: d, deployment: deployment, file: f, masker: newMasker(secrets)}, nil
}

// Finish closes the log for good: whoever follows it sees the end once all of
// it was read. A log that was never opened can be finished too.
func (d *Dir) Finish(deployment string) error {
	if err := checkName(deployment); err != nil {
		return err
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fmt.Errorf("finish log: %w", err)
	}
	end, err := os.OpenFile(d.name(deployment, ".end"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("finish log: %w", err)
	}
	if err := end.Close(); err != nil {
		return fmt.Errorf("finish log: %w", err)
	}
	f := d.acquire(deployment)
	defer d.release(deployment, f)
	f.tell()
	return nil
}

// Finished reports whether the log was closed for good.
func (d *Dir) Finished(deployment string) (bool, error) {
	if err := checkName(deployment); err != nil {
		return false, err
	}
	_, err := os.Stat(d.name(deployment, ".end"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Size is how long the log is now, in bytes; 0 if there is none.
func (d *Dir) Size(deployment string) (int64, error) {
	if err := checkName(deployment); err != nil {
		return 0, err
	}
	info, err := os.Stat(d.name(deployment, ".log"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("size of log: %w", err)
	}
	return info.Size(), nil
}

// ReadAt returns up to limit bytes from offset on, at most 4 MiB, which is also
// what a limit of 0 means. It is empty at the end, beyond it and where there is
// no log.
func (d *Dir) ReadAt(deployment string, offset int64, limit int) ([]byte, error) {
	if err := checkName(deployment); err != nil {
		return nil, err
	}
	file, err := os.Open(d.name(deployment, ".log"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	defer file.Close()
	if limit <= 0 || limit > maxRead {
		limit = maxRead
	}
	return readAt(file, offset, limit)
}

// Tail returns the last lines of the log, at most 64 KiB of them.
func (d *Dir) Tail(deployment string, lines int) ([]string, error) {
	size, err := d.Size(deployment)
	if err != nil || lines <= 0 {
		return nil, err
	}
	from := max(0, size-chunkSize)
	data, err := d.ReadAt(deployment, from, chunkSize)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	all := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if from > 0 {
		all = all[1:] // it may have begun within a line
	}
	return all[max(0, len(all)-lines):], nil
}

func readAt(file *os.File, offset int64, limit int) ([]byte, error) {
	data := make([]byte, limit)
	n, err := file.ReadAt(data, max(0, offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read log: %w", err)
	}
	return data[:n], nil
}

func (d *Dir) name(deployment, ending string) string { return filepath.Join(d.path, deployment+ending) }

// checkName lets nothing through that could leave the folder.
func checkName(deployment string) error {
	if !regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`).MatchString(deployment) {
		return fmt.Errorf("log of %q: %w", deployment, ErrName)
	}
	return nil
}

func (d *Dir) acquire(deployment string) *file {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.open[deployment]
	if !ok {
		f = &file{limit: d.limit}
		d.open[deployment] = f
	}
	f.users++
	return f
}

func (d *Dir) release(deployment string, f *file) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.users--; f.users == 0 {
		delete(d.open, deployment)
	}
}
