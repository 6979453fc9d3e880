package proxy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ofLength is a folder below root whose path has so many bytes.
func ofLength(t *testing.T, root string, n int) string {
	t.Helper()
	dir := filepath.Join(root, strings.Repeat("d", n-len(root)-1))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestControlSocket_InTheLongestFolderThatIsPossible(t *testing.T) {
	t.Parallel()
	root, err := os.MkdirTemp("/tmp", "sb") // t.TempDir is long already
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	if err := CheckSocket(filepath.Join(ofLength(t, root, 92), "proxy.sock")); err != nil {
		t.Errorf("92 bytes: %v", err)
	}
	for n := range 20 { // the folder's name in between is drawn by lot
		l, err := listenUnix(filepath.Join(root, strings.Repeat("d", 92-len(root)-1), "proxy.sock"))
		if err != nil {
			t.Fatalf("it is said to be possible, and is not: %d: %v", n, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, socket := range map[string]string{
		"a folder too long": filepath.Join(ofLength(t, root, 93), "proxy.sock"),
		"a name too long":   "/run/" + strings.Repeat("s", 103),
	} {
		if err := CheckSocket(socket); err == nil || !strings.Contains(err.Error(), "108") || !strings.Contains(err.Error(), "unix(7)") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckSocket("/run/" + strings.Repeat("s", 102)); err != nil {
		t.Errorf("107 bytes: %v", err)
	}
}
