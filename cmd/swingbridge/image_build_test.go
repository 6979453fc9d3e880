package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	buildTags    = "nobadger,nomysql,nopgx,grpcnotrace"
	imageVersion = "v0.0.0-test"
	imageCommit  = "0123456789abcdef0123456789abcdef01234567"
	imageLabel   = "dev.swingbridge.test.image"
)

// goBuild are the arguments with which the program is compiled.
func goBuild(version, commit, to string) []string {
	return []string{
		"build", "-trimpath", "-tags", buildTags, "-gcflags=cel.dev/...=-l", "-gcflags=github.com/moby/buildkit/...=-l",
		"-ldflags", "-s -w -X main.version=" + version + " -X main.commit=" + commit, "-o", to, "./cmd/swingbridge",
	}
}

// buildImage builds the Dockerfile, with both of the engine's builders, and
// returns the image's name.
//
// There is no registry here and so no image golang, and a cold build of all
// modules takes minutes. So the test compiles the program on the machine, with
// the Dockerfile's own command, and gives the build stage a stand-in for Go:
// it takes no other arguments than that command's, wants every source file that
// the compiler read to be there, byte for byte (.dockerignore might keep one
// out), and then puts the program where it was asked to.
func buildImage(t *testing.T) (ref string) {
	t.Helper()
	id := strings.ToLower(rand.Text()[:10])
	t.Cleanup(func() { removeImages(t, id) })
	goImage := importGo(t, id)
	top := filepath.Join("..", "..")
	for _, builder := range []build.BuilderVersion{build.BuilderV1, build.BuilderBuildKit} {
		var err error
		if ref, err = buildDockerfile(t, top, goImage, id, builder); err != nil {
			t.Fatalf("builder %s: %v", builder, err)
		}
	}
	// What tells that a source file is missing can fail.
	less := t.TempDir()
	for _, name := range []string{"Dockerfile", "go.mod", "go.sum"} {
		if err := os.Link(filepath.Join(top, name), filepath.Join(less, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := buildDockerfile(t, less, goImage, id+"-less", build.BuilderV1); err == nil || !strings.Contains(err.Error(), "swingbridge/main.go") {
		t.Errorf("without its sources the image was built: %v", err)
	}
	return ref
}

func removeImages(t *testing.T, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), ample)
	defer cancel()
	e, err := openEngine(ctx)
	if err != nil {
		t.Errorf("clean up: %v", err)
		return
	}
	left, err := e.things(ctx, imageLabel+"="+id)
	if err = errors.Join(err, e.remove(ctx, left), e.Close()); err != nil {
		t.Errorf("clean up: %v", err)
	}
}

// buildDockerfile builds the Dockerfile of a folder. Its errors have the log.
func buildDockerfile(t *testing.T, folder, goImage, tag string, builder build.BuilderVersion) (ref string, err error) {
	t.Helper()
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(log.TestLogger(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	version, commit := imageVersion, imageCommit
	var said bytes.Buffer
	ref, err = provider.BuildImage(t.Context(), &testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{
		Context: folder, Repo: "swingbridge-test/server", Tag: tag, KeepImage: true, BuildLogWriter: &said,
		BuildArgs: map[string]*string{"GO_IMAGE": &goImage, "VERSION": &version, "COMMIT": &commit},
		BuildOptionsModifier: func(o *build.ImageBuildOptions) {
			o.Version, o.NoCache = builder, true
			o.Labels = map[string]string{testLabel: "1", imageLabel: strings.TrimSuffix(tag, "-less")}
		},
	}})
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, said.String())
	}
	return ref, nil
}

// importGo makes the image with the stand-in, and returns its name.
func importGo(t *testing.T, id string) string {
	t.Helper()
	root := newRoot(t)
	for _, program := range []string{"sh", "cp", "sha256sum"} {
		root.program(program)
	}
	root.file("/etc/ssl/certs/ca-certificates.crt", certificates(t), 0o644)
	program := filepath.Join(t.TempDir(), "swingbridge")
	compile := exec.Command("go", goBuild(imageVersion, imageCommit, program)...)
	compile.Dir, compile.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	root.copied(program, "/given/swingbridge", 0o755)
	root.file("/given/sources", sources(t), 0o644)
	want := "0 " + strings.Join(goBuild(imageVersion, imageCommit, "/out/swingbridge"), " ")
	root.file("/bin/go", fmt.Appendf(nil, `#!/bin/sh
set -e
case "$CGO_ENABLED $*" in
" mod download") ;;
"%s")
	sha256sum --check --strict --quiet /given/sources
	cp /given/swingbridge /out/swingbridge ;;
*)
	echo "unexpected: go $*"
	exit 1 ;;
esac
`, want), 0o755)
	root.folder("/out/")
	ref := "swingbridge-test/golang:" + id
	said, err := machine(t).ImageImport(t.Context(), image.ImportSource{Source: root.close(), SourceName: "-"}, ref,
		image.ImportOptions{Changes: []string{"ENV PATH=/bin", "LABEL " + testLabel + "=1 " + imageLabel + "=" + id}})
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	if text, err := io.ReadAll(said); err != nil || bytes.Contains(text, []byte(`"error"`)) {
		t.Fatalf("import: %v %s", err, text)
	}
	return ref
}

func certificates(t *testing.T) []byte {
	t.Helper()
	for _, path := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"} {
		if pem, err := os.ReadFile(path); err == nil {
			return pem
		}
	}
	t.Fatal("this machine has no bundle of public authorities: install ca-certificates")
	return nil
}

// sources are the checksums of what the compiler reads of this module.
func sources(t *testing.T) []byte {
	t.Helper()
	top, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-deps", "-tags", buildTags, "-f",
		`{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`,
		"./cmd/swingbridge")
	list.Dir, list.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list sources: %v", err)
	}
	files := append(strings.Fields(string(out)), filepath.Join(top, "go.mod"), filepath.Join(top, "go.sum"))
	if len(files) < 100 {
		t.Fatalf("the compiler is said to read only %d files", len(files))
	}
	slices.Sort(files)
	var sums bytes.Buffer
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		relative, err := filepath.Rel(top, file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), relative)
	}
	return sums.Bytes()
}

// root is a root file system in the making.
type root struct {
	t    *testing.T
	to   bytes.Buffer
	tar  *tar.Writer
	have map[string]bool
}

func newRoot(t *testing.T) *root {
	r := &root{t: t, have: map[string]bool{}}
	r.tar = tar.NewWriter(&r.to)
	return r
}

func (r *root) file(path string, content []byte, mode int64) {
	r.t.Helper()
	if r.have[path] {
		return
	}
	r.have[path] = true
	err := r.tar.WriteHeader(&tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = r.tar.Write(content)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *root) folder(path string) {
	r.t.Helper()
	if err := r.tar.WriteHeader(&tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o755, Typeflag: tar.TypeDir}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *root) copied(from, to string, mode int64) {
	r.t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		r.t.Fatal(err)
	}
	r.file(to, content, mode)
}

// program adds one of the machine's programs, and the libraries it needs.
func (r *root) program(name string) {
	r.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		r.t.Fatal(err)
	}
	r.copied(path, "/bin/"+name, 0o755)
	needs, err := exec.Command("ldd", path).Output()
	if err != nil {
		r.t.Fatalf("ldd %s: %v", path, err)
	}
	for _, m := range regexp.MustCompile(`(/\S+) \(0x`).FindAllStringSubmatch(string(needs), -1) {
		r.copied(m[1], m[1], 0o755)
	}
}

func (r *root) close() io.Reader {
	r.t.Helper()
	if err := r.tar.Close(); err != nil {
		r.t.Fatal(err)
	}
	return &r.to
}

// output runs the image with arguments and returns what it says.
func output(t *testing.T, ref string, args ...string) string {
	t.Helper()
	c, err := testcontainers.GenericContainer(t.Context(), testcontainers.GenericContainerRequest{
		Started: true, Logger: log.TestLogger(t),
		ContainerRequest: testcontainers.ContainerRequest{
			Image: ref, Cmd: args, Labels: map[string]string{testLabel: "1"}, WaitingFor: wait.ForExit().WithExitTimeout(ample),
		},
	})
	testcontainers.CleanupContainer(t, c, testcontainers.StopTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	said, err := c.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	text, err := io.ReadAll(said)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
