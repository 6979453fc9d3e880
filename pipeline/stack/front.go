package stack

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// replaceFront says what becomes of a service that wants the host's ports for
// HTTP, and takes over what of it Swingbridge does too.
func (s *service) replaceFront(out *Stack) {
	if s.forFront {
		out.Aside = append(out.Aside, s.name+" is not started: it gets certificates for a proxy of the files' own, and Swingbridge gets its own")
		return
	}
	var ports []string
	for _, p := range s.from.Ports {
		if p.Published != "" && !slices.Contains(ports, p.Published) {
			ports = append(ports, p.Published)
		}
	}
	stands := "publishes " + strings.Join(ports, ", ")
	if s.from.NetworkMode == "host" {
		stands = "is on the host's network"
	}
	out.Aside = append(out.Aside, fmt.Sprintf("%s is not started: it %s, where Swingbridge's own proxy answers. "+
		"To deploy it behind that proxy, add a route to it", s.name, stands))
	file, text, ok := s.frontFile()
	if !ok {
		out.Aside = append(out.Aside, s.unread())
		return
	}
	sites, ok := caddyfile(text, s.l.vars.lookup)
	if !ok {
		out.Aside = append(out.Aside, file+" is not readable as a Caddyfile: "+s.unread())
		return
	}
	r := frontReport{service: s, file: file, told: map[string][]int{}}
	for _, site := range sites {
		r.site(site)
	}
	out.Redirects = append(out.Redirects, r.redirects...)
	out.Aside = append(out.Aside, r.sentences()...)
	out.Aside = append(out.Aside, s.certificates()...)
}

// unread is said of a front whose settings were not looked at.
func (s *service) unread() string {
	name := s.origin()
	if !slices.Contains([]string{"nginx", "traefik", "haproxy", "httpd", "caddy"}, name) {
		name = s.name
	}
	return fmt.Sprintf("what %s does beside passing requests on is not taken over: redirects of hosts are among the app's settings, "+
		"HSTS, compression and the size of bodies below x-swingbridge.front, all else is the app's", name)
}

// frontFile is the Caddyfile of the commit that the front mounts.
func (s *service) frontFile() (file, text string, ok bool) {
	for _, v := range s.from.Volumes {
		if v.Type != types.VolumeTypeBind || path.IsAbs(v.Source) || strings.HasPrefix(v.Source, "~") {
			continue
		}
		for _, file := range []string{s.cleanJoin(v.Source), path.Join(s.cleanJoin(v.Source), "Caddyfile")} {
			if !strings.Contains(path.Base(file), "Caddyfile") {
				continue
			}
			if content, err := s.l.read(file); err == nil {
				return file, string(content), true
			}
		}
	}
	return "", "", false
}

// certificates names the folders of the host in which a Caddy keeps them.
func (s *service) certificates() []string {
	for _, v := range s.from.Volumes {
		if path.Clean(v.Target) == "/data" && v.Source != "" {
			return []string{fmt.Sprintf("the certificates of %s in %s are not used: Swingbridge gets its own, or takes those in the folder SWINGBRIDGE_CERTIFICATES", s.name, s.l.mask(v.Source))}
		}
	}
	return nil
}

// frontReport gathers what a Caddyfile does, each thing once with its lines.
type frontReport struct {
	*service
	file      string
	redirects []Redirect
	told      map[string][]int
}

func (r *frontReport) tell(line int, format string, args ...any) {
	text := r.l.mask(fmt.Sprintf(format, args...))
	if !slices.Contains(r.told[text], line) {
		r.told[text] = append(r.told[text], line)
	}
}

func (r *frontReport) sentences() []string {
	var texts []string
	for text := range r.told {
		texts = append(texts, text)
	}
	slices.SortFunc(texts, func(a, b string) int {
		return cmp.Or(cmp.Compare(r.told[a][0], r.told[b][0]), strings.Compare(a, b))
	})
	for i, text := range texts {
		var lines []string
		for _, line := range r.told[text] {
			lines = append(lines, fmt.Sprint(line))
		}
		texts[i] = fmt.Sprintf("%s:%s: %s", r.file, strings.Join(lines, ","), text)
	}
	return texts
}

// site looks at one site, or at the options for all.
func (r *frontReport) site(site directive) {
	if len(site.words) == 0 {
		for _, d := range site.block {
			if d.words[0] == "email" {
				r.tell(d.line, "email: the address for the certificate authority is SWINGBRIDGE_ACME_EMAIL")
			}
		}
		return
	}
	hosts, under := addresses(site.words)
	for _, d := range flat(site.block, 0) {
		if d.words[0] == "redir" && under == "" && r.redirect(hosts, d) {
			continue
		}
		if slices.Contains([]string{"reverse_proxy", "php_fastcgi"}, d.words[0]) {
			if lost := r.unrouted(hosts); len(lost) > 0 {
				r.tell(site.line, "%s: no route of the app has the host, so nobody reaches it there: add a route if visitors are to", strings.Join(lost, ", "))
			}
			continue
		}
		r.tell(d.line, "%s", r.instead(d, hosts, under))
	}
}

// instead says what stands in the place of a directive.
func (r *frontReport) instead(d directive, hosts []string, under string) string {
	all := strings.Join(d.words, " ")
	switch d.words[0] {
	case "encode":
		return "encode: Swingbridge compresses by itself, see x-swingbridge.front.compression"
	case "header":
		if slices.Contains(d.words, "Strict-Transport-Security") {
			return "header Strict-Transport-Security: Swingbridge sends it by itself, see x-swingbridge.front.hsts"
		}
		return all + ": headers are left as the app sends them, let it do this"
	case "file_server", "root", "try_files":
		at := strings.Join(hosts, ", ")
		if under != "" {
			at = under
		}
		return fmt.Sprintf("file_server: the files at %s are not served by Swingbridge: let the app serve them", at)
	case "log":
		return "log: access logs are SWINGBRIDGE_ACCESS_LOG"
	case "tls":
		return "tls: Swingbridge gets the certificates, or takes those in the folder SWINGBRIDGE_CERTIFICATES"
	case "request_body":
		return "request_body: the size is x-swingbridge.front.max_body"
	case "respond":
		return all + ": the request reaches the app now, let it answer"
	case "redir":
		return all + ": not taken over, let the app do it"
	}
	return d.words[0] + ": not taken over, let the app do it"
}

func (r *frontReport) unrouted(hosts []string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), r.routedHost)
}

func (r *frontReport) routedHost(host string) bool {
	return slices.ContainsFunc(r.l.in.Routes, func(route Route) bool { return strings.EqualFold(route.Host, host) })
}

// redirect takes over one that sends whole hosts to one of the app's.
func (r *frontReport) redirect(hosts []string, d directive) bool {
	words := d.words[1:]
	if len(words) > 1 && words[0] == "*" {
		words = words[1:]
	}
	if len(words) == 0 || len(words) > 2 {
		return false
	}
	to, whole := strings.CutSuffix(words[0], "{uri}")
	scheme, host, ok := strings.Cut(to, "://")
	if !whole || !ok || scheme != "https" && scheme != "http" || !r.routedHost(host) {
		return false
	}
	if len(hosts) == 1 && hosts[0] == strings.ToLower(host) {
		r.tell(d.line, "redir: Swingbridge sends visitors of %s from http to https by itself", hosts[0])
		return true
	}
	status, ok := redirectStatus(words[1:])
	for _, from := range hosts {
		ok = ok && hostName(from) == "" && !r.routedHost(from) && belongs(from, strings.ToLower(host))
	}
	if !ok || len(hosts) == 0 {
		return false
	}
	for _, from := range hosts {
		twice := slices.ContainsFunc(r.redirects, func(have Redirect) bool { return have.Host == from })
		if !twice {
			r.redirects = append(r.redirects, Redirect{Host: from, To: strings.ToLower(host), Status: status})
		}
	}
	r.tell(d.line, "redir: taken over, visitors of %s are sent to %s", strings.Join(hosts, ", "), strings.ToLower(host))
	return true
}

// belongs reports whether a host belongs to whoever has the other one: it is below
// it, or it is the same without www. All else is an operator's to give: a commit
// must not claim another app's host.
func belongs(host, other string) bool {
	return strings.HasSuffix(host, "."+other) || other == "www."+host
}

// redirectStatus is what Caddy answers with the words after the target.
func redirectStatus(words []string) (status int, ok bool) {
	if len(words) == 0 {
		return 302, true
	}
	status, ok = map[string]int{"temporary": 302, "302": 302, "permanent": 301, "301": 301, "307": 307, "308": 308}[words[0]]
	return status, ok
}

// addresses are the hosts of a site, and the path that all of them have.
func addresses(words []string) (hosts []string, under string) {
	for _, word := range strings.FieldsFunc(strings.Join(words, " "), func(r rune) bool { return r == ',' || r == ' ' }) {
		_, rest, ok := strings.Cut(word, "://")
		if !ok {
			rest = word
		}
		rest, below, ok := strings.Cut(rest, "/")
		if ok && below != "" {
			under = "/" + below
		}
		host, _, _ := strings.Cut(rest, ":")
		if host = strings.ToLower(host); host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, under
}

// flat lists directives with those inside of blocks that only order them.
func flat(block []directive, depth int) []directive {
	var out []directive
	for _, d := range block {
		switch {
		case len(d.words) == 0 || strings.HasPrefix(d.words[0], "@") || depth > maxCaddyDepth:
		case slices.Contains([]string{"handle", "handle_path", "route"}, d.words[0]):
			for _, inner := range flat(d.block, depth+1) {
				if len(d.words) > 1 && inner.words[0] == "redir" {
					inner.words = slices.Insert(slices.Clone(inner.words), 1, d.words[1]) // for some requests only
				}
				out = append(out, inner)
			}
		default:
			out = append(out, d)
		}
	}
	return out
}
