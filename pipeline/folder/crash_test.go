package folder_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/folder"
)

// dies is set for the process that is killed while it writes.
const dies = "SWINGBRIDGE_TEST_FOLDER"

// hanging is a tree that says "half" and then gives no more.
type hanging struct{ tree }

func (h hanging) Walk(_ context.Context, _ string, f func(pipeline.TreeEntry) error) error {
	for i, e := range h.entries {
		out := pipeline.TreeEntry{Path: e.path, Mode: e.mode, Hash: e.hash}
		out.Open = func() (io.ReadCloser, error) {
			if i == len(h.entries)-1 {
				fmt.Println("half")
				select {}
			}
			return io.NopCloser(strings.NewReader(e.content)), nil
		}
		if err := f(out); errors.Is(err, fs.SkipAll) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func crashTree() tree {
	return dir("crash", entry{path: "a", content: "first", mode: 0o644}, entry{path: "b", content: "second", mode: 0o644})
}

func TestPlace_KilledWhileItWrites(t *testing.T) {
	t.Parallel()
	if root := os.Getenv(dies); root != "" {
		_, err := folder.New(folder.Options{Dir: root}).Place(t.Context(), app, hanging{crashTree()}, "conf")
		t.Fatalf("it was not killed: %v", err)
	}
	root := filepath.Join(t.TempDir(), "apps")
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPlace_KilledWhileItWrites$")
	child.Env = append(os.Environ(), dies+"="+root)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "half\n" {
		t.Fatalf("it said %q, %v", line, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("it ended well")
	}
	files := filepath.Join(root, app, "files")
	if left := names(t, files); len(left) != 1 || !strings.HasPrefix(left[0], ".new-") {
		t.Fatalf("it left %q, want the half-written one", left)
	}

	f := folder.New(folder.Options{Dir: root})
	at := mustPlace(t, f, crashTree())
	for name, want := range map[string]string{"a": "first", "b": "second"} {
		if got, err := os.ReadFile(filepath.Join(at, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
	if _, err := f.PrunePlaced(t.Context(), app, []string{at}); err != nil {
		t.Fatal(err)
	}
	if left := names(t, files); len(left) != 1 || left[0] != "crash" {
		t.Errorf("left: %q", left)
	}
}
