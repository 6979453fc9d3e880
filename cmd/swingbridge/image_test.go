package main

import (
	"archive/tar"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
)

// TestImage builds the image that people run and runs compose.yml with it. It
// is not parallel: testcontainers reads its settings from the environment.
func TestImage(t *testing.T) {
	t.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	t.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
	ref := buildImage(t)
	t.Run("HoldsOneProgramAndNoShell", func(t *testing.T) { holdsOneProgram(t, ref) })
	t.Run("RunsWithoutArgumentsAsServe", func(t *testing.T) { runsAsServe(t, ref) })
	t.Run("RefusesADataFolderThatIsElsewhere", func(t *testing.T) { refusesAFolderThatIsElsewhere(t, ref) })
	t.Run("ComposeServes", func(t *testing.T) { composeServes(t, ref) })
	t.Run("ComposeHasTLS", func(t *testing.T) { composeHasTLS(t, ref) })
}

func holdsOneProgram(t *testing.T, ref string) {
	want := []string{"etc/ssl/certs/ca-certificates.crt", "swingbridge"}
	if diff := cmp.Diff(want, filesOf(t, ref)); diff != "" {
		t.Errorf("files in the image (-want +got):\n%s", diff)
	}
	e := machine(t)
	for _, shell := range []string{"/bin/sh", "/bin/bash", "/bin/busybox"} {
		c, err := e.ContainerCreate(t.Context(), &container.Config{
			Image: ref, Entrypoint: []string{shell}, Labels: map[string]string{testLabel: "1"},
		}, nil, nil, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		err = e.ContainerStart(t.Context(), c.ID, container.StartOptions{})
		if err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s started in the image: %v", shell, err)
		}
		if err := e.ContainerRemove(t.Context(), c.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
}

// filesOf lists what an image has, but for what the engine puts into every
// container.
func filesOf(t *testing.T, ref string) []string {
	t.Helper()
	e := machine(t)
	c, err := e.ContainerCreate(t.Context(), &container.Config{Image: ref, Labels: map[string]string{testLabel: "1"}}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.ContainerRemove(t.Context(), c.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}()
	root, err := e.ContainerExport(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	engines := []string{".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"}
	var files []string
	for r := tar.NewReader(root); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(files)
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeDir && !slices.Contains(engines, h.Name) {
			files = append(files, h.Name)
		}
	}
}

func runsAsServe(t *testing.T, ref string) {
	info, err := machine(t).ImageInspect(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	c := info.Config
	got := fmt.Sprintln(c.Entrypoint, c.Cmd, c.User, c.Labels["org.opencontainers.image.version"], c.Labels["org.opencontainers.image.revision"])
	if want := fmt.Sprintln("[/swingbridge] [serve] 0:0", imageVersion, imageCommit); got != want {
		t.Errorf("the image runs %s, want %s", got, want)
	}
	if said := output(t, ref, "version"); !strings.HasPrefix(said, "swingbridge "+imageVersion+" (commit "+imageCommit) {
		t.Errorf("version says %s", said)
	}
}

// composeServes deploys pushes through the two services of compose.yml and
// stops the server under traffic.
func composeServes(t *testing.T, ref string) {
	h := newHosted(t, ref)
	plane, server := h.up("proxy"), h.up("server")
	h.ready()
	h.addApp(appName, appRepo, appHost)
	h.mustBe(h.await(h.push(release{version: "version 1"}, "Open the harbor")), pipeline.Live)
	h.sees(appHost, "version 1")
	h.confined(plane, server)

	crowd := h.visit(appHost)
	h.stop(server)
	if _, err := h.get(appHost, "/"); err != nil {
		t.Errorf("without the server: %v", err)
	}
	crowd.more(200) // come while there is no server
	h.startAgain(server)
	h.ready()
	crowd.more(200)
	h.mustBe(h.await(h.push(release{version: "version 2"}, "Add a second quay")), pipeline.Live)
	crowd.served(time.Now(), "version 2")

	// The proxy is upgraded: a second container of the service takes over.
	crowd = h.visit(appHost)
	next := h.another("proxy")
	crowd.more(100)
	h.stop(plane)
	crowd.more(100)
	crowd.served(time.Now(), "version 2")

	plane = next
	h.stop(plane)
	if _, err := h.get(appHost, "/"); err == nil {
		t.Error("visitors are answered without the proxy: the test looked elsewhere")
	}
	h.startAgain(plane)
	h.eventually("the proxy to serve from its own table", func() bool {
		version, err := h.get(appHost, "/")
		return err == nil && version == "version 2"
	})
}

// composeHasTLS has a certificate made on a root file system that is read-only,
// without a server.
func composeHasTLS(t *testing.T, ref string) {
	const host = "deploy.example.org"
	h := newHosted(t, ref, "SWINGBRIDGE_TLS_INTERNAL=true", "SWINGBRIDGE_PUBLIC_URL=https://"+host)
	h.up("proxy")
	at := strings.Replace(h.web, ":617", ":618", 1)
	h.eventually("a certificate", func() bool {
		c, err := tls.Dial("tcp", at, &tls.Config{ServerName: host, InsecureSkipVerify: true})
		if err != nil {
			return false
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].VerifyHostname(host) == nil
	})
}

func TestDockerfile_CompilesAsTheMakefileDoes(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	find := func(text, pattern string) string {
		m := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("nothing matches %s", pattern)
		}
		return m[1]
	}
	makefile := read("Makefile")
	makes := strings.NewReplacer(
		"$(COLD)", find(makefile, `^COLD := (.*)$`), "'$(LDFLAGS)'", `"`+find(makefile, `^LDFLAGS := (.*)$`)+`"`, "bin/swingbridge", "/out/swingbridge", "$(VERSION)", "${VERSION}", "$(COMMIT)", "${COMMIT}",
	).Replace(find(makefile, `^\t(CGO_ENABLED=0 go build .*)$`))
	makes = strings.NewReplacer("$(VERSION)", "${VERSION}", "$(COMMIT)", "${COMMIT}").Replace(makes)
	makes = strings.Replace(makes, "-trimpath", "-trimpath -tags "+find(makefile, `^TAGS := (.*)$`), 1)
	if diff := cmp.Diff(makes, find(read("Dockerfile"), `^RUN (CGO_ENABLED=0 go build .*)$`)); diff != "" {
		t.Errorf("build commands (-Makefile +Dockerfile):\n%s", diff)
	}
	if got := "CGO_ENABLED=0 go " + strings.Join(goBuild("${VERSION}", "${COMMIT}", "/out/swingbridge"), " "); strings.ReplaceAll(makes, `"`, "") != got {
		t.Errorf("the tests compile with %s, the Makefile with %s", got, makes)
	}
}
