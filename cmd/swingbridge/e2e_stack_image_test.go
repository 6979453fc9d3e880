package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
)

// stackName is the images of a real stack, with the tags python, postgres and
// redis.
const stackName = "swingbridge-test/stack"

// stackRoot names the file with the root of those images, for a test beside an
// engine of its own.
const stackRoot = "SWINGBRIDGE_STACK_ROOT"

// stackImages is made once for all tests of the process: the root, or within an
// engine the images.
//
//nolint:gochecknoglobals // made once for all tests of the process
var stackImages struct {
	sync.Mutex
	made bool
	dir  string
}

// besideAStackEngine runs this very test again beside an engine that has the
// images of a real stack, made out of Debian's packages, for no registry
// answers here. They are large: with their engine all of them is gone.
func besideAStackEngine(t *testing.T) {
	t.Helper()
	stackImages.Lock()
	root := filepath.Join(stackImages.dir, "root.tar")
	if !stackImages.made {
		var err error
		if stackImages.dir, err = os.MkdirTemp("", "stack"); err != nil {
			stackImages.Unlock()
			t.Fatal(err)
		}
		root = filepath.Join(stackImages.dir, "root.tar")
		out, err := exec.CommandContext(t.Context(), "../../.ci/stack-root", root).CombinedOutput()
		if err != nil {
			stackImages.Unlock()
			t.Fatalf("make the root of a real stack: %v\n%s", err, out)
		}
		stackImages.made = true
	}
	stackImages.Unlock()
	besideAnEngine(t, stackRoot+"="+root)
}

// removeStackRoot removes the file.
func removeStackRoot() error {
	stackImages.Lock()
	defer stackImages.Unlock()
	if stackImages.dir == "" {
		return nil
	}
	return os.RemoveAll(stackImages.dir)
}

// importStack makes the images on the engine that the test is beside.
func importStack(t *testing.T) {
	t.Helper()
	stackImages.Lock()
	defer stackImages.Unlock()
	if stackImages.made {
		return
	}
	root, err := os.Open(os.Getenv(stackRoot))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	said, err := machine(t).ImageImport(t.Context(), image.ImportSource{Source: root, SourceName: "-"}, stackName+":python", image.ImportOptions{
		Changes: []string{"ENV PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	if text, err := io.ReadAll(said); err != nil || bytes.Contains(text, []byte(`"error"`)) {
		t.Fatalf("import the root of a real stack: %v %s", err, text)
	}
	for tag, dockerfile := range map[string]string{
		"postgres": "USER postgres\nENV PGDATA=/var/lib/postgresql/data\nVOLUME /var/lib/postgresql/data\n" +
			"EXPOSE 5432\nSTOPSIGNAL SIGINT\nENTRYPOINT [\"postgres-entrypoint\"]\n",
		"redis": "USER redis\nEXPOSE 6379\n" +
			"CMD [\"redis-server\", \"--bind\", \"0.0.0.0\", \"--protected-mode\", \"no\", \"--save\", \"\", \"--dir\", \"/tmp\"]\n",
	} {
		if err := buildTag(t, stackName+":"+tag, "FROM "+stackName+":python\n"+dockerfile); err != nil {
			t.Fatalf("build %s: %v", tag, err)
		}
	}
	stackImages.made = true
}

// buildTag builds a Dockerfile that needs no further file.
func buildTag(t *testing.T, ref, dockerfile string) error {
	t.Helper()
	var root bytes.Buffer
	w := tar.NewWriter(&root)
	err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = io.WriteString(w, dockerfile)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	said, err := machine(t).ImageBuild(t.Context(), &root, build.ImageBuildOptions{Version: build.BuilderBuildKit, Tags: []string{ref}})
	if err != nil {
		return err
	}
	defer said.Body.Close()
	text, err := io.ReadAll(said.Body)
	if bytes.Contains(text, []byte(`"error"`)) {
		err = errors.Join(err, errors.New(string(text)))
	}
	return err
}
