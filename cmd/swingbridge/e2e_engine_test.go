package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// engine is the machine's Docker engine, asked without any code of ours.
type engine struct{ *client.Client }

func openEngine(ctx context.Context) (engine, error) {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return engine{}, fmt.Errorf("open container engine: %w", err)
	}
	if _, err := api.Ping(ctx); err != nil {
		return engine{}, errors.Join(fmt.Errorf("reach container engine: %w", err), api.Close())
	}
	return engine{api}, nil
}

// things are what has a label on the engine, by id; names of volumes.
type things struct{ containers, networks, volumes, images []string }

func (th things) empty() bool {
	return len(th.containers)+len(th.networks)+len(th.volumes)+len(th.images) == 0
}

func (e engine) things(ctx context.Context, label string) (things, error) {
	var out things
	with := filters.NewArgs(filters.Arg("label", label))
	containers, err := e.ContainerList(ctx, container.ListOptions{All: true, Filters: with})
	errs := []error{err}
	for _, c := range containers {
		out.containers = append(out.containers, c.ID)
	}
	networks, err := e.NetworkList(ctx, network.ListOptions{Filters: with})
	errs = append(errs, err)
	for _, n := range networks {
		out.networks = append(out.networks, n.ID)
	}
	volumes, err := e.VolumeList(ctx, volume.ListOptions{Filters: with})
	errs = append(errs, err)
	for _, v := range volumes.Volumes {
		out.volumes = append(out.volumes, v.Name)
	}
	images, err := e.ImageList(ctx, image.ListOptions{Filters: with})
	errs = append(errs, err)
	for _, i := range images {
		out.images = append(out.images, i.ID)
	}
	return out, errors.Join(errs...)
}

func (e engine) remove(ctx context.Context, th things) error {
	var errs []error
	for _, id := range th.containers {
		errs = append(errs, e.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	for _, id := range th.networks {
		errs = append(errs, e.NetworkRemove(ctx, id))
	}
	for _, name := range th.volumes {
		errs = append(errs, e.VolumeRemove(ctx, name, true))
	}
	for _, id := range th.images {
		_, err := e.ImageRemove(ctx, id, image.RemoveOptions{Force: true, PruneChildren: true})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// machine is the engine for the length of a test.
func machine(t *testing.T) engine {
	t.Helper()
	e, err := openEngine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// labelled are the things of the site.
func (s *site) labelled() things {
	s.t.Helper()
	th, err := machine(s.t).things(s.t.Context(), siteLabel+"="+s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	return th
}

// inspected are the site's containers that are there, those that do not run
// included.
func (s *site) inspected() []container.InspectResponse {
	s.t.Helper()
	var out []container.InspectResponse
	for _, id := range s.labelled().containers {
		c, err := machine(s.t).ContainerInspect(s.t.Context(), id)
		if cerrdefs.IsNotFound(err) {
			continue // gone since
		}
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// identity is what stays the same of a container that nobody touched.
type identity struct{ ID, Image, StartedAt, Address string }

// containers are the site's containers by deployment; more than one of a
// deployment fails the test.
func (s *site) containers() map[string]identity {
	s.t.Helper()
	out := map[string]identity{}
	for _, c := range s.inspected() {
		deployment := c.Config.Labels["dev.swingbridge.deployment"]
		if _, twice := out[deployment]; twice {
			s.t.Fatalf("deployment %s has two containers", deployment)
		}
		var addresses []string
		for name, at := range c.NetworkSettings.Networks {
			if strings.HasPrefix(name, "swingbridge-edge-") {
				addresses = append(addresses, at.IPAddress)
			}
		}
		out[deployment] = identity{c.ID, c.Image, c.State.StartedAt, strings.Join(addresses, " ")}
	}
	return out
}

// only waits until the containers of the site are those of one deployment, and
// returns it.
func (s *site) only(deployment string) identity {
	s.t.Helper()
	var there map[string]identity
	s.eventually("one container, of "+deployment, func() bool {
		there = s.containers()
		_, ok := there[deployment]
		return ok && len(there) == 1
	})
	return there[deployment]
}

// shared is the image that all apps of the tests are made of.
//
//nolint:gochecknoglobals // made once for all tests of the process
var shared struct {
	sync.Mutex
	ref string
}

// baseImage makes the image out of testdata/app: one static program, nothing
// else. It needs no registry.
func baseImage(t *testing.T) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.ref != "" {
		return shared.ref
	}
	program := filepath.Join(t.TempDir(), "app")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the app: %v\n%s", err, out)
	}
	root, err := archive(program)
	if err != nil {
		t.Fatal(err)
	}
	ref := "swingbridge-test/base:" + strings.ToLower(rand.Text())
	said, err := machine(t).ImageImport(t.Context(), image.ImportSource{Source: root, SourceName: "-"}, ref,
		image.ImportOptions{Changes: []string{"LABEL " + testLabel + "=1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	if text, err := io.ReadAll(said); err != nil || bytes.Contains(text, []byte(`"error"`)) {
		t.Fatalf("import the app's image: %v %s", err, text)
	}
	shared.ref = ref
	return ref
}

// archive is a tar of the program, as /app.
func archive(program string) (io.Reader, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err = w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = w.Write(content)
	}
	return &out, errors.Join(err, w.Close())
}

// removeShared removes the images that the tests shared.
func removeShared() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, err := openEngine(ctx)
	if err != nil {
		return err
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.ref != "" {
		_, err = e.ImageRemove(ctx, shared.ref, image.RemoveOptions{Force: true, PruneChildren: true})
	}
	return errors.Join(err, e.Close(), removeStackRoot())
}
