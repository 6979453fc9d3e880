package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/swingbridge/swingbridge/pipeline"
)

var _ pipeline.Folders = (*Folders)(nil)

// Options says where the folders are. Zero limits have the default.
type Options struct {
	// Dir is an absolute path on the host of the container engine.
	Dir string
	// Files is how many files, links and folders one bind of the commit may
	// have; 20,000.
	Files int
	// Bytes is how much is in them; 256 MiB.
	Bytes int64
}

// Folders is a pipeline.Folders. It is safe for concurrent use; calls for one
// app take turns. One process at a time may use a folder.
type Folders struct {
	o    Options
	mu   sync.Mutex
	apps map[string]*sync.Mutex
}

// Names below the folder of an app.
const (
	dataDir  = "data"
	dataList = "data.json"
	filesDir = "files"
)

// New returns the folders below o.Dir, which is made when it is first needed.
func New(o Options) *Folders {
	if o.Files <= 0 {
		o.Files = 20_000
	}
	if o.Bytes <= 0 {
		o.Bytes = 256 << 20
	}
	return &Folders{o: o, apps: map[string]*sync.Mutex{}}
}

// open returns the app's own folder, made if it is absent and closed to other
// users of the host, and what gives it back.
func (f *Folders) open(appID string) (*os.Root, func(), error) {
	if !plainID(appID) {
		return nil, nil, fmt.Errorf("%w app id %q", pipeline.ErrInvalid, appID)
	}
	unlock := f.lock(appID)
	if err := os.MkdirAll(f.o.Dir, 0o700); err != nil {
		unlock()
		return nil, nil, fmt.Errorf("make the folder of all apps: %w", err)
	}
	all, err := os.OpenRoot(f.o.Dir)
	if err != nil {
		unlock()
		return nil, nil, fmt.Errorf("open the folder of all apps: %w", err)
	}
	defer all.Close()
	if err := makeDir(all, appID, 0o700); err != nil {
		unlock()
		return nil, nil, fmt.Errorf("make the app's folder: %w", err)
	}
	own, err := all.OpenRoot(appID)
	if err != nil {
		unlock()
		return nil, nil, fmt.Errorf("open the app's folder: %w", err)
	}
	return own, func() { own.Close(); unlock() }, nil
}

func (f *Folders) lock(appID string) (unlock func()) {
	f.mu.Lock()
	m := f.apps[appID]
	if m == nil {
		m = &sync.Mutex{}
		f.apps[appID] = m
	}
	f.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// at is a path of the app's as the engine is told it.
func (f *Folders) at(appID string, path ...string) string {
	return filepath.Join(append([]string{f.o.Dir, appID}, path...)...)
}

// plainID accepts what is one name of a folder on any file system.
func plainID(s string) bool {
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// makeDir makes one folder durably, unless it is there. What is there and is no
// folder, a link above all, is an error.
func makeDir(root *os.Root, name string, mode fs.FileMode) error {
	switch info, err := root.Lstat(name); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is there and is not a folder", name)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := root.Mkdir(name, mode); err != nil {
		return err
	}
	if err := root.Chmod(name, mode); err != nil { // the process may mask some of it
		return err
	}
	return sync1(root, filepath.Dir(name))
}

// sync1 makes the names in a folder durable.
func sync1(root *os.Root, name string) error {
	return withFile(root, name, (*os.File).Sync)
}

// syncAll makes all that was written durable, in one go for any number of files.
func syncAll(root *os.Root) error {
	return withFile(root, ".", func(f *os.File) error { return unix.Syncfs(int(f.Fd())) })
}

func withFile(root *os.Root, name string, do func(*os.File) error) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}
