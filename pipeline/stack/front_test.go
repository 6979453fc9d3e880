package stack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fronted is an app behind a Caddy with the given Caddyfile.
func fronted(t *testing.T, text string) Input {
	t.Helper()
	in := several(t, "services: {web: {image: x}, front: {image: 'caddy:2', privileged: true, ports: ['80:80'], volumes: ['./etc:/etc/caddy', '/srv/certs:/data']}}",
		map[string]string{"etc/Caddyfile": text})
	return in
}

func TestFront_RedirectsToTheAppsHostsAreTakenOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []Redirect
	}{
		"one host":        {"www.example.org {\n\tredir https://example.org{uri}\n}", []Redirect{{"www.example.org", "example.org", 302}}},
		"several":         {"a.example.org,\nb.example.org:443 {\n redir * https://Example.org{uri} permanent # gone\n}", []Redirect{{"a.example.org", "example.org", 301}, {"b.example.org", "example.org", 301}}},
		"a variable":      {"https://www.{$APEX} {\n redir https://{$APEX}{uri} 308\n}", []Redirect{{"www.example.org", "example.org", 308}}},
		"a default":       {"{$OLD:old.example.org} {\n redir http://example.org{uri}\n}", []Redirect{{"old.example.org", "example.org", 302}}},
		"a snippet":       {"(go) {\n redir https://example.org{uri}\n}\nwww.example.org {\n import go\n}", []Redirect{{"www.example.org", "example.org", 302}}},
		"no braces":       {"{\n\temail a@b.c\n}\nwww.example.org\nredir https://example.org{uri}\n", []Redirect{{"www.example.org", "example.org", 302}}},
		"inside of route": {"www.example.org {\n route {\n  redir https://example.org{uri}\n }\n}", []Redirect{{"www.example.org", "example.org", 302}}},

		"another's host":     {"www.example.org {\n redir https://example.com{uri}\n}", nil},
		"a path":             {"www.example.org {\n redir https://example.org/new{uri}\n}", nil},
		"some paths":         {"www.example.org {\n redir /old https://example.org{uri}\n}", nil},
		"some requests":      {"www.example.org {\n handle /old/* {\n  redir https://example.org{uri}\n }\n}", nil},
		"below a path":       {"www.example.org/old {\n redir https://example.org{uri}\n}", nil},
		"without the path":   {"www.example.org {\n redir https://example.org\n}", nil},
		"a page":             {"www.example.org {\n redir https://example.org{uri} html\n}", nil},
		"a host with routes": {"http://example.org {\n redir https://example.org{uri}\n}", nil},
		"a stranger's host":  {"shop.example.com {\n redir https://example.org{uri}\n}", nil},
		"any host":           {":80 {\n redir https://example.org{uri}\n}", nil},
		"hosts of a pattern": {"*.example.org {\n redir https://example.org{uri}\n}", nil},
		"no Caddyfile":       {"www.example.org {\n redir https://example.org{uri}\n", nil},
		"braces too many":    {"www.example.org {\n redir https://example.org{uri}\n}\n}", nil},
	} {
		in := fronted(t, c.text)
		in.Env["APEX"] = "example.org"
		got := mustLoad(t, in)
		if diff := cmp.Diff(c.want, got.Redirects); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if _, there := got.Service("front"); there || len(got.Aside) < 2 {
			t.Errorf("%s: the front is in the stack, or not aside: %q", name, got.Aside)
		}
	}
}

func TestFront_SaysWhatItDidBesides(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, fronted(t, `{
	email ops@example.org
}
example.org {
	encode gzip
	header {
		-Server
	}
	basic_auth /admin {
		bob $2a$14$secret-of-bob
	}
	respond /health "a # b" 200
	request_body {
		max_size 1MB
	}
	reverse_proxy web:8000
}
other.example.org {
	reverse_proxy web:8000
}
example.org/static {
	root * /srv
	file_server
}
http://example.org {
	redir https://example.org{uri}
}
`))
	text := strings.Join(got.Aside, "\n")
	for _, want := range []string{
		"front is not started: it publishes 80,", "etc/Caddyfile:2: email: ", "etc/Caddyfile:5: encode: ", "etc/Caddyfile:6: header: ", "etc/Caddyfile:9: basic_auth: not taken over",
		"etc/Caddyfile:12: respond /health a # b 200: ", "etc/Caddyfile:13: request_body: ", "etc/Caddyfile:18: other.example.org: no route", "etc/Caddyfile:22,23: file_server: the files at /static",
		"etc/Caddyfile:26: redir: Swingbridge sends visitors of example.org from http to https", "the certificates of front in /srv/certs are not used",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "bob") || strings.Contains(text, "etc/Caddyfile:16") {
		t.Errorf("says too much:\n%s", text)
	}
}

func TestFront_TellsNoSecret(t *testing.T) {
	t.Parallel()
	in := fronted(t, "example.org {\n respond {$KEY}\n}\n{$KEY}.example.org {\n reverse_proxy web\n}")
	in.Env["KEY"] = "hunter2"
	if text := strings.Join(mustLoad(t, in).Aside, "\n"); strings.Contains(text, "hunter2") || !strings.Contains(text, "${KEY}") {
		t.Errorf("aside:\n%s", text)
	}
}

func TestFront_OfOtherKindsIsSaidToBeLeftOut(t *testing.T) {
	t.Parallel()
	for compose, want := range map[string]string{
		"services: {web: {image: x}, f: {image: 'nginx:1', ports: ['0.0.0.0:443:443']}}":                     "what nginx does beside",
		"services: {web: {image: x}, f: {image: 'a/traefik@sha256:0', ports: [{target: 1, published: 80}]}}": "what traefik does beside",
		"services: {web: {image: x}, f: {build: p, ports: ['80:8080']}}":                                     "what httpd does beside",
		"services: {web: {image: x}, f: {image: mine, ports: ['80-81:8080-8081']}}":                          "what f does beside",
	} {
		got := mustLoad(t, several(t, compose, map[string]string{"p/Dockerfile": "FROM httpd:2"}))
		if text := strings.Join(got.Aside, "\n"); !strings.Contains(text, want) || len(got.Services) != 1 {
			t.Errorf("%s:\n%s", compose, text)
		}
	}
	// What only looks like a front is none.
	for _, ports := range []string{"'8080:80'", "80", "'80:80/udp'"} {
		_, err := loadText(t, "services: {web: {image: x}, f: {image: nginx, ports: ["+ports+"]}}")
		if err == nil || !strings.Contains(err.Error(), "service f: ports") {
			t.Errorf("%s: %v", ports, err)
		}
	}
	if got := mustLoad(t, several(t, "services: {web: {image: caddy, ports: ['80:80']}}", nil)); len(got.Services) != 1 || got.Aside != nil {
		t.Errorf("a service with a route was left out: %q", got.Aside)
	}
}

// FuzzCaddyfile reads what strangers push.
func FuzzCaddyfile(f *testing.F) {
	f.Add("a {\n b \"c\n}\n{\n}\n(d) {\nimport d\n}\nimport d\n{$A:b} {$B}")
	f.Add("a,\n\\\n`x` {\n{\n}\n}")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<12 {
			return
		}
		in := fronted(t, text)
		in.Env["SECRET"] = fuzzSecret
		got := mustLoad(t, in)
		for _, r := range got.Redirects {
			if r.To != "example.org" || r.Host == "example.org" || hostName(r.Host) != "" || r.Status < 301 || r.Status > 308 {
				t.Errorf("redirect %+v", r)
			}
		}
		if strings.Contains(strings.Join(got.Aside, "\n"), fuzzSecret) {
			t.Errorf("tells a secret: %q", got.Aside)
		}
	})
}
