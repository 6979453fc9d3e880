package stack

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// saidOf is what Load answers about the file, one sentence per line.
func saidOf(t *testing.T, in Input) (said string, out Stack) {
	t.Helper()
	out, err := Load(t.Context(), in)
	if err != nil {
		t.Fatalf("%s\n%v", in.Files[0].Content, err)
	}
	return strings.Join(slices.Concat(out.Notes, out.Aside), "\n"), out
}

func TestLoad_WhatHasNoMeaningOnOneHostIsSaidAndStopsNothing(t *testing.T) {
	t.Parallel()
	const web = "services:\n  web:\n    build: .\n"
	for compose, want := range map[string]string{
		web + "    develop: {watch: [{action: sync, path: ./src, target: /src}]}\n":                         "compose.yml:4: service web: develop: has no effect: ",
		web + "    deploy: {mode: global}\n":                                                                "compose.yml:4: service web: deploy.mode: has no effect: there is one host",
		web + "    networks: [back]\nnetworks:\n  back: {driver: overlay}\n":                                "compose.yml:6: networks.back.driver: has no effect: there is one host",
		web + "    volumes: ['data:/data']\nvolumes:\n  data:\n    name: shop-data\n":                       "compose.yml:7: volumes.data.name: has no effect: ",
		web + "    platform: ${PLATFORM:-}\n    hostname: ${NAME:-}\n    domainname: ''\n    restart: ''\n": "",
	} {
		said, out := saidOf(t, setup(t, compose))
		if !strings.Contains(said, want) {
			t.Errorf("%s\nsaid %q, want %q", compose, said, want)
		}
		if got := out.Services[0]; got.Settings.Platform != "" || got.Replicas > 1 {
			t.Errorf("%s\n%+v", compose, got)
		}
	}
}

func TestLoad_RefusesTwoVolumesOfOneName(t *testing.T) {
	t.Parallel()
	refusedWith(t, setup(t, "services: {web: {build: ., volumes: ['first:/a', 'second:/b']}}\nvolumes:\n  first: {name: shared}\n  second: {name: shared}\n"),
		"compose.yml:4: volumes.second.name: is the name of the volume first too: ")
}

func TestLoad_SaysWhichMountLacksTheValueOfAVariable(t *testing.T) {
	t.Parallel()
	refusedWith(t, setup(t, `
services:
  web:
    build: .
    volumes:
      - logs:/logs
      - ${UPLOADS}:/data
      - type: bind
        source: $MEDIA
        target: /media
  db:
    image: postgres:${RELEASE}
volumes: {logs: {}}
`), "compose.yml:7: service web: volumes: the variable UPLOADS has no value",
		"compose.yml:9: service web: volumes: the variable MEDIA has no value",
		"compose.yml:12: service db: image: the variable RELEASE has no value")
}

func TestLoad_TheWorkingFolderIsThatOfTheFirstFile(t *testing.T) {
	t.Parallel()
	in := several(t, "services:\n  web:\n    build: {context: $PWD}\n    volumes: ['${PWD}/static:/static', '$PWD/../conf:/conf']\n", nil)
	in.Files[0].Path = "deploy/compose.yml"
	in.Read = func(string) ([]byte, error) { return nil, nil }
	web := mustLoad(t, in).Services[0]
	var got []string
	for _, m := range web.Mounts {
		got = append(got, m.Bind.Host+m.Bind.Data)
	}
	if diff := cmp.Diff([]string{"deploy/static", "conf"}, got); diff != "" || web.Build.Context != "deploy" {
		t.Errorf("build in %s, mounts:\n%s", web.Build.Context, diff)
	}
	in.Env["PWD"] = "/srv/shop"
	in.Allowed = []string{"bind:/srv/shop/static", "bind:/srv/conf"}
	in.Files[0].Content = []byte(strings.Replace(string(in.Files[0].Content), "$PWD}", ".}", 1))
	if got := mustLoad(t, in).Services[0].Mounts[0].Bind.Host; got != "/srv/shop/static" {
		t.Errorf("the app's own variable is not taken: %q", got)
	}
}

func TestLoad_StartsServicesOfTheProfilesThatTheAppNames(t *testing.T) {
	t.Parallel()
	const compose = `
services:
  web: {build: ., profiles: [site], depends_on: [db]}
  db: {image: postgres, profiles: [site, data]}
  mail: {image: mailpit, profiles: ['', mail]}
  adminer: {image: adminer, profiles: [tools]}
`
	for profiles, want := range map[string]string{
		"site":        "adminer=task db=keep mail=task web=web",
		" data,site ": "adminer=task db=keep mail=task web=web",
		"site,,mail":  "adminer=task db=keep mail=keep web=web",
		"*":           "adminer=keep db=keep mail=keep web=web",
	} {
		in := setup(t, compose)
		in.Env["COMPOSE_PROFILES"] = profiles
		if diff := cmp.Diff(want, rolesOf(mustLoad(t, in))); diff != "" {
			t.Errorf("%q: %s", profiles, diff)
		}
	}
	in := setup(t, compose)
	in.Routes[0].Service = "mail"
	if got := rolesOf(mustLoad(t, in)); !strings.Contains(got, "mail=web") {
		t.Errorf("without any, those of the empty profile are started: %s", got)
	}
	refusedWith(t, setup(t, compose), "service web: profiles: a route names the service, and it is behind a profile: "+
		"set COMPOSE_PROFILES=site in the app's environment", "name its profile in COMPOSE_PROFILES")
}

func rolesOf(s Stack) string {
	var out []string
	for _, svc := range s.Services {
		out = append(out, svc.Name+"="+string(svc.Role))
	}
	return strings.Join(out, " ")
}

func TestLoad_AServiceOfNoContainersIsATask(t *testing.T) {
	t.Parallel()
	for _, none := range []string{"deploy: {replicas: 0}", "scale: 0"} {
		said, out := saidOf(t, setup(t, "services:\n  web: {build: .}\n  index: {build: ., "+none+"}\n"))
		if rolesOf(out) != "index=task web=web" || !strings.Contains(said, "index is a task, which no deployment starts: the files give it no container") {
			t.Errorf("%s: %s\n%s", none, rolesOf(out), said)
		}
		refusedWith(t, setup(t, "services:\n  web: {build: ., "+none+"}\n"), "a route names the service, so it needs a container")
	}
}

func TestLoad_SaysHowToBringAFileThatTheCommitLacks(t *testing.T) {
	t.Parallel()
	refusedWith(t, setup(t, `
services:
  web:
    build: .
    env_file: .env.production
    label_file: labels
    secrets: [key]
secrets: {key: {file: keys/key.pem}}
`), "env_file: the commit has no file .env.production: put it on the server with `swingbridge file set shop .env.production FILE`, or set its variables in the app's environment and write `required: false`",
		"label_file: the commit has no file labels: put it on the server with `swingbridge file set shop labels FILE`",
		"secrets.key.file: the commit has no file keys/key.pem: put it on the server with `swingbridge file set shop keys/key.pem FILE`")
}

func TestLoad_RefusesTheFirstVersionOfComposeByItsName(t *testing.T) {
	t.Parallel()
	for _, compose := range []string{
		"\nweb:\n  image: a\n  links: [db]\ndb:\n  image: b\n",
		"\nweb: {build: .}\nvolumes: {}\n",
	} {
		_, err := Load(t.Context(), setup(t, compose))
		const want = "compose.yml:2: there is no key services, and web is at the top level, as in the first version of Compose: put the services below services:"
		if err == nil || err.Error() != want {
			t.Errorf("%s\n%v", compose, err)
		}
	}
}

func TestLoad_AFileThatOnlyAddsToAnotherIsSaidToLackIt(t *testing.T) {
	t.Parallel()
	refusedWith(t, setup(t, "services:\n  web: {environment: {A: b}, depends_on: [db]}\n"),
		"neither build nor image: say what the container is made from, or name the file that says it among the app's compose files, before this one",
		"the files have no service db: take it out, or name the file that has it among the app's compose files")
}

func TestFront_WhatGetsItsCertificatesIsNotStartedEither(t *testing.T) {
	t.Parallel()
	const compose = `
services:
  web: {build: ., depends_on: [companion]}
  proxy: {image: nginxproxy/nginx-proxy, ports: ['80:80']}
  companion:
    image: nginxproxy/acme-companion:2
    volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']
    volumes_from: [proxy]
  certbot: {image: certbot/dns-cloudflare, entrypoint: sh -c 'certbot renew'}
`
	said, out := saidOf(t, setup(t, compose))
	for _, want := range []string{
		"companion is not started: it gets certificates for a proxy of the files' own, and Swingbridge gets its own",
		"certbot is not started: it gets", "companion is not started, so nothing waits for it",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("does not say %q:\n%s", want, said)
		}
	}
	if got := rolesOf(out); got != "web=web" {
		t.Errorf("started: %s", got)
	}
	// Without a front it gets them for something else.
	if _, out := saidOf(t, setup(t, "services:\n  web: {build: .}\n  certbot: {image: certbot/certbot}\n")); rolesOf(out) != "certbot=keep web=web" {
		t.Errorf("without a front: %s", rolesOf(out))
	}
}

func TestFront_MayBeOnTheHostsNetwork(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{"caddy:2-alpine": "web=web", "library/traefik": "web=web"} {
		said, out := saidOf(t, setup(t, "services:\n  web: {build: .}\n  front: {image: '"+image+"', network_mode: host, cap_add: [NET_ADMIN]}\n"))
		if rolesOf(out) != want || !strings.Contains(said, "front is not started: it is on the host's network, where Swingbridge's own proxy answers") {
			t.Errorf("%s: %s\n%s", image, rolesOf(out), said)
		}
	}
	refusedWith(t, setup(t, "services:\n  web: {build: .}\n  front: {image: nginx, network_mode: host}\n"), "host:network")
}

func TestLoad_WhatPreparesSomethingMayEnd(t *testing.T) {
	t.Parallel()
	for service, restart := range map[string]string{
		"{image: 'bash:5', command: chown -R 1000 /data}":                    "no",
		"{image: minio/mc, entrypoint: /bin/sh -c 'mc mb store/files'}":      "no",
		"{image: 'alpine', command: crond -f, restart: unless-stopped}":      "unless-stopped",
		"{image: 'alpine', command: crond -f, deploy: {restart_policy: {}}}": "",
		"{image: 'debian', command: serve, ports: ['127.0.0.1:9:9']}":        "",
		"{image: 'busybox', command: httpd -f, healthcheck: {test: exit 0}}": "",
		"{image: 'redis', command: redis-server --save ''}":                  "",
		"{image: 'registry.example.org/team/app', command: run everything}":  "",
	} {
		in := setup(t, "services:\n  web: {build: .}\n  other: "+service+"\n")
		in.Allowed = []string{"port:127.0.0.1:9"}
		said, out := saidOf(t, in)
		if got := out.Services[0]; got.Role != Keep || got.Restart != restart {
			t.Errorf("%s: %s, restart %q", service, got.Role, got.Restart)
		}
		if noted := strings.Contains(said, "service other: command: says no restart: "); noted != (restart == "no") {
			t.Errorf("%s: %s", service, said)
		}
	}
}

func TestLoad_ToolsThatArePeoplesToCallAreTasks(t *testing.T) {
	t.Parallel()
	for service, want := range map[string]string{
		"{build: aws}":                              "other=task web=web",
		"{image: 'amazon/aws-cli:2'}":               "other=task web=web",
		"{build: aws, command: backup --each hour}": "other=worker web=web",
		"{build: aws, restart: always}":             "other=worker web=web",
	} {
		in := several(t, "services:\n  web: {build: .}\n  other: "+service+"\n", map[string]string{"aws/Dockerfile": "FROM docker.io/amazon/aws-cli:2.1\n"})
		if got := rolesOf(mustLoad(t, in)); got != want {
			t.Errorf("%s: %s, want %s", service, got, want)
		}
	}
}

func TestLoad_SaysOfAPortWithoutARouteThatNobodyReachesIt(t *testing.T) {
	t.Parallel()
	said, _ := saidOf(t, setup(t, "services:\n  web:\n    build: .\n    ports:\n      - 80:8000\n      - 222:22\n      - 8000:8000/udp\n"))
	for _, want := range []string{
		"compose.yml:5: service web: ports: not published on the host: visitors come through the proxy",
		"compose.yml:6: service web: ports: not published on the host: no route leads to it, and two colors of the service could not share the port",
		"compose.yml:7: service web: ports: not published on the host: no route leads to it",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("does not say %q:\n%s", want, said)
		}
	}
}

func TestLoad_SaysOfAWrongFormWhatTheRightOneIs(t *testing.T) {
	t.Parallel()
	refusedWith(t, setup(t, "services:\n  web:\n    build: .\n    volumes:\n"), "compose.yml:4: service web: volumes: must be a list")
}
