package docker

import (
	"slices"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// namesFile has every way in which a service gets a name on a network.
const namesFile = `services:
  web-a: &web
    image: IMAGE
    container_name: shop-a
    hostname: a
    environment: {COLOR: a}
    networks: [default, front]
    links: ["db:database", cache]
  web-b:
    <<: *web
    container_name: shop-b
    hostname: b
    environment: {COLOR: b}
  db:
    image: IMAGE
    hostname: storage
    x-swingbridge: {role: keep}
    networks: {default: {aliases: [sql, db.internal]}, back: }
  cache:
    image: IMAGE
    container_name: SUFFIX-redis
    links: [db]
  lonely:
    image: IMAGE
    networks: {back: {aliases: [alone]}}
  nowhere:
    image: IMAGE
    network_mode: none
networks:
  front: {}
  back: {internal: true}
`

// reachable are the names by which a service is called, by Compose network.
func reachable(s stack.Stack, service string) map[string][]string {
	out := map[string][]string{}
	for _, svc := range s.Services {
		if svc.Name != service && !slices.Contains(svc.Names, service) || svc.Rights.Other["network"] == "none" {
			continue
		}
		joins := svc.Networks
		if len(joins) == 0 {
			joins = []stack.Join{{Network: "default"}}
		}
		for _, j := range joins {
			out[j.Network] = slices.Concat([]string{svc.Name}, svc.Names, j.Aliases, []string{svc.Settings.Hostname})
		}
	}
	return out
}

func TestLoad_ServicesHaveTheNamesThatDockerComposeGivesThem(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.networks()
	image := "names-" + w.installation + ":1"
	if err := w.api.ImageTag(t.Context(), w.image, image); err != nil {
		t.Fatal(err)
	}
	file := strings.NewReplacer("IMAGE", image, "SUFFIX", w.installation, "shop-", w.installation+"-").Replace(namesFile)
	made := w.compose(map[string]string{"compose.yml": file}, nil, "-d")
	loaded := loadAll(t, file, nil)
	if len(made) != 6 || len(loaded.Services) != 5 {
		t.Fatalf("%d containers of Compose, %d services of ours", len(made), len(loaded.Services))
	}
	seen := 0
	for service, id := range made {
		there, err := w.api.ContainerInspect(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		ours := reachable(loaded, service)
		for network, place := range there.NetworkSettings.Networks {
			key := network[strings.LastIndex(network, "_")+1:]
			if key == "none" {
				continue
			}
			names := place.Aliases
			if name := strings.TrimPrefix(there.Name, "/"); !strings.HasPrefix(name, "same") {
				names = append(names, name)
			}
			for _, link := range place.Links {
				to, alias, _ := strings.Cut(link, ":")
				if place := reachable(loaded, "db")[key]; place == nil || strings.Contains(alias, "_") {
					continue // not there, or a name with Compose's number
				}
				if strings.Contains(to, "_db_") && !slices.Contains(reachable(loaded, "db")[key], alias) {
					t.Errorf("%s calls %s %s on %s, which is %q", service, to, alias, key, reachable(loaded, "db")[key])
				}
			}
			for _, name := range names {
				if strings.HasPrefix(id, name) || strings.HasPrefix(name, "same") {
					continue
				}
				if seen++; !slices.Contains(ours[key], name) {
					t.Errorf("%s is called %s on %s by Compose, and %q here", service, name, key, ours[key])
				}
			}
			delete(ours, key)
		}
		if len(ours) > 0 {
			t.Errorf("%s is on further networks: %v", service, ours)
		}
	}
	if seen < 12 {
		t.Errorf("only %d names were compared", seen)
	}
}
