package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"go.uber.org/goleak"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

const testLabel = "dev.swingbridge.test"

// world is a fresh installation on the real engine. All that it makes is gone
// after the test.
type world struct {
	*Engine
	t     *testing.T
	image string // the tool's image ID
	app   pipeline.App
	edge  pipeline.Network
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func setup(t *testing.T) *world {
	t.Helper()
	return setupWith(t, Options{})
}

func setupWith(t *testing.T, o Options) *world {
	t.Helper()
	o.Installation = strings.ToLower(rand.Text()[:6])
	o.Labels = map[string]string{testLabel: "1"}
	if o.ConfigFile == "" {
		o.ConfigFile = filepath.Join(t.TempDir(), "none.json")
	}
	e, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Engine: e, t: t, app: pipeline.App{ID: pipeline.NewID(time.Now()), Name: "shop", Repo: "acme/shop"}}
	t.Cleanup(w.cleanUp)
	return w
}

// cleanUp removes by label whatever the installation has left.
func (w *world) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	mine := filters.NewArgs(filters.Arg("label", labelInstallation+"="+w.installation))
	containers, err := w.api.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
	errs := []error{err}
	nameless := map[string]bool{} // volumes, which go with no container that they were carried to
	for _, c := range containers {
		for _, m := range c.Mounts {
			nameless[m.Name] = isAnonymous(m.Name)
		}
		errs = append(errs, w.api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	for name, is := range nameless {
		if !is {
			continue
		}
		if err := w.api.VolumeRemove(ctx, name, true); err != nil && !cerrdefs.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	networks, err := w.api.NetworkList(ctx, network.ListOptions{Filters: mine})
	errs = append(errs, err)
	for _, n := range networks {
		errs = append(errs, w.api.NetworkRemove(ctx, n.ID))
	}
	volumes, err := w.api.VolumeList(ctx, volume.ListOptions{Filters: mine})
	errs = append(errs, err)
	for _, v := range volumes.Volumes {
		errs = append(errs, w.api.VolumeRemove(ctx, v.Name, true))
	}
	images, err := w.api.ImageList(ctx, image.ListOptions{Filters: mine})
	errs = append(errs, err)
	for _, i := range images {
		_, err := w.api.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true, PruneChildren: true})
		errs = append(errs, err)
	}
	errs = append(errs, w.Close())
	if err := errors.Join(errs...); err != nil {
		w.t.Errorf("clean up: %v", err)
	}
}

const plainDockerfile = "FROM scratch\nCOPY tool /tool\nENTRYPOINT [\"/tool\"]\n"

// networks makes the edge and the app's network, on subnets that are free.
func (w *world) networks() {
	w.t.Helper()
	w.image = w.build(plainDockerfile, "plain")
	edge := w.freeNetwork(w.EdgeName(), 24)
	edge.Isolated = true
	edge.Range = netip.PrefixFrom(addressAt(edge.Subnet, 192), 26)
	w.edge = w.ensureFree(edge)
	app := w.freeNetwork(w.AppNetwork(w.app.Name, ""), 26)
	app.App, app.AppID = w.app.Name, w.app.ID
	w.ensureFree(app)
}

func addressAt(p netip.Prefix, n byte) netip.Addr {
	b := p.Addr().As4()
	b[3] += n
	return netip.AddrFrom4(b)
}

func (w *world) freeNetwork(name string, bits int) pipeline.Network {
	w.t.Helper()
	used, err := w.Subnets(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
next:
	for range 1000 {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(210 + mathrand.IntN(10)), byte(mathrand.IntN(256)), 0}), bits)
		for _, list := range used {
			for _, other := range list {
				if other.Overlaps(subnet) {
					continue next
				}
			}
		}
		return pipeline.Network{Name: name, Subnet: subnet, Gateway: addressAt(subnet, 1)}
	}
	w.t.Fatal("no free subnet")
	return pipeline.Network{}
}

// ensureFree makes the network, elsewhere if a parallel test took the subnet.
func (w *world) ensureFree(n pipeline.Network) pipeline.Network {
	w.t.Helper()
	for range 10 {
		err := w.EnsureNetwork(w.t.Context(), n)
		if err == nil {
			return n
		}
		if !errors.Is(err, pipeline.ErrConflict) {
			w.t.Fatal(err)
		}
		other := w.freeNetwork(n.Name, n.Subnet.Bits())
		n.Subnet, n.Gateway = other.Subnet, other.Gateway
		if n.Range.IsValid() {
			n.Range = netip.PrefixFrom(addressAt(n.Subnet, 192), 26)
		}
	}
	w.t.Fatal("no free subnet")
	return n
}

func (w *world) owner(service, deployment string) pipeline.Owner {
	return pipeline.Owner{
		App: w.app.Name, AppID: w.app.ID, Service: service, Color: pipeline.Blue,
		Deployment: deployment, Commit: strings.Repeat("ab", 20), Repo: w.app.Repo,
	}
}

// order is a container order at the given last byte of the edge's subnet.
func (w *world) order(deployment string, at byte, command ...string) pipeline.ContainerOrder {
	return pipeline.ContainerOrder{
		Owner: w.owner("web", deployment), Image: w.image,
		Service: stack.Service{Name: "web", Command: command, Ports: []int{8080}, StopGrace: 10 * time.Second},
		Edge:    pipeline.Attachment{Network: w.EdgeName(), Address: addressAt(w.edge.Subnet, at)},
		Links:   []pipeline.Link{{Network: w.AppNetwork(w.app.Name, ""), Aliases: []string{"web"}}},
	}
}

func (w *world) ensure(o pipeline.ContainerOrder) pipeline.Container {
	w.t.Helper()
	c, err := w.Ensure(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// run makes and starts a container and returns it as it is then.
func (w *world) run(o pipeline.ContainerOrder) pipeline.Container {
	w.t.Helper()
	c := w.ensure(o)
	if err := w.Start(w.t.Context(), c.ID); err != nil {
		w.t.Fatal(err)
	}
	return w.inspect(c.ID)
}

func (w *world) inspect(id string) pipeline.Container {
	w.t.Helper()
	c, err := w.Inspect(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// wait looks until the container is as wanted.
func (w *world) wait(id, what string, good func(pipeline.Container) bool) pipeline.Container {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	for {
		c := w.inspect(id)
		if good(c) {
			return c
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			w.t.Fatalf("not %s: %+v", what, c)
		}
	}
}

// get asks a container over HTTP at its edge address, until it answers.
func (w *world) get(c pipeline.Container, path string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	url := "http://" + netip.AddrPortFrom(c.Edge, 8080).String() + path
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil {
				w.t.Fatal(err)
			}
			return string(body)
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			w.t.Fatalf("%s: %v", url, err)
		}
	}
}
