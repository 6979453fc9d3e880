package pipeline

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// dataStores are kept services as people write them.
const dataStores = `
services:
  web: {build: ., depends_on: {db: {condition: service_healthy}}, environment: {DATABASE_URL: postgres://db}}
  plain: {image: redis:8}
  db:
    image: postgres:17
    environment: {POSTGRES_PASSWORD: secret, POSTGRES_DB: shop}
    volumes: [data:/var/lib/postgresql/data, ./init.sql:/docker-entrypoint-initdb.d/init.sql:ro]
    healthcheck: {test: [CMD-SHELL, pg_isready], interval: 5s, timeout: 3s, retries: 5, start_period: 10s}
    shm_size: 128m
    mem_limit: 512m
    stop_grace_period: 1m
    stop_signal: SIGINT
    restart: unless-stopped
  cache:
    image: redis:8
    command: [redis-server, --appendonly, "yes"]
    user: "999"
    volumes: [/data]
    tmpfs: [/tmp]
    read_only: true
    expose: [6379]
  search:
    image: opensearchproject/opensearch:2
    hostname: search
    environment: {discovery.type: single-node}
    ulimits: {nofile: {soft: 65536, hard: 65536}, memlock: -1}
    networks: {back: {aliases: [index]}}
    logging: {driver: json-file, options: {max-size: 1m}}
    labels: {team: search}
volumes: {data: {}}
networks: {back: {internal: true}, default: {}}
`

func keptOrders(t *testing.T, files string) map[string]ContainerOrder {
	t.Helper()
	loaded, err := stack.Load(t.Context(), stack.Input{
		App: "shop", Files: []stack.File{{Path: "compose.yml", Content: []byte(files)}},
		Routes: []stack.Route{{Host: "shop.example.org", Service: "web", Port: 8000}},
		Read:   func(string) ([]byte, error) { return []byte("FROM scratch"), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]string{}
	for _, svc := range loaded.Services {
		images[svc.Name] = "sha256:" + svc.Name
	}
	out := map[string]ContainerOrder{}
	for _, svc := range keptServices(loaded) {
		out[svc.Name], err = linker().keptOrder(App{ID: "app1", Name: "shop"}, Release{Stack: loaded, Images: images}, svc)
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Golden on purpose, and by hand: where a value changes, an upgrade of the
// server takes the databases of all apps down and up with the next deployment of
// each. A field that came later must be left out of JSON where it is not used.
func TestFingerprint_OfWhatPeopleHaveNeverChanges(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"plain": "f5414c138219c5621b3e1add", "db": "b7b78ab09af278e0420bfb5a",
		"cache": "f8bf209dc8833644916621d3", "search": "f0c34f5b054cb72f6e311ac9",
	}
	got := map[string]string{}
	for name, o := range keptOrders(t, dataStores) {
		got[name] = o.Fingerprint
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("an upgrade would restart these (-want +got):\n%s", diff)
	}
}

// The controls: what the container is made of changes it, and what only a
// deployment does with it does not.
func TestFingerprint_ChangesWithWhatTheContainerIsMadeOf(t *testing.T) {
	t.Parallel()
	was := keptOrders(t, dataStores)["db"]
	for name, c := range map[string]struct {
		change func(o *ContainerOrder)
		same   bool
	}{
		"nothing":         {func(*ContainerOrder) {}, true},
		"restart":         {func(o *ContainerOrder) { o.Service.Restart = "no" }, true},
		"dependencies":    {func(o *ContainerOrder) { o.Service.DependsOn = []stack.Dependency{{Service: "cache"}} }, true},
		"why":             {func(o *ContainerOrder) { o.Service.Why = "because" }, true},
		"live network":    {func(o *ContainerOrder) { o.Links = append(o.Links, Link{Network: "live"}) }, true},
		"order of links":  {func(o *ContainerOrder) { slices.Reverse(o.Links) }, true},
		"image":           {func(o *ContainerOrder) { o.Image = "sha256:other" }, false},
		"variable":        {func(o *ContainerOrder) { o.Service.Env = maps.Clone(o.Service.Env); o.Service.Env["NEW"] = "1" }, false},
		"mount":           {func(o *ContainerOrder) { o.Service.Mounts = o.Service.Mounts[:1] }, false},
		"external volume": {func(o *ContainerOrder) { o.Volumes = []stack.Volume{{Name: "data", External: "theirs"}} }, false},
		"network":         {func(o *ContainerOrder) { o.Links = append(o.Links, Link{Network: "new", Aliases: []string{"db"}}) }, false},
	} {
		now := was
		now.Links = slices.Clone(was.Links)
		c.change(&now)
		got, err := fingerprintOf(now)
		if err != nil || (got == was.Fingerprint) != c.same {
			t.Errorf("%s: %s became %s, %v", name, was.Fingerprint, got, err)
		}
	}
}
