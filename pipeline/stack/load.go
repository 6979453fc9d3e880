package stack

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Input is what Load reads.
type Input struct {
	App     string            // name of the app
	Files   []File            // compose files, later ones win; none: a Dockerfile at the root is the service "web"
	Overlay string            // a further compose file held by the server, may be empty
	Env     map[string]string // the app's environment: interpolates, fills .env, reaches built services
	Routes  []Route
	Allowed []string                          // permissions that the operator gave the app
	Read    func(path string) ([]byte, error) // a regular file of the commit; an error wrapping fs.ErrNotExist if absent
	Find    func(path string) (Found, error)  // what the commit has at a path, "." is its root; errors as Read's. Nil: nothing
}

// File is a compose file by its path inside the repository.
type File struct {
	Path    string
	Content []byte
}

// Route names the service and port that visitors reach, and under which host.
type Route struct {
	Host    string `json:"host"`
	Path    string `json:"path,omitempty"`
	Service string `json:"service"`
	Port    int    `json:"port"`
}

// overlayName is how problems call Input.Overlay.
const overlayName = "overlay"

// Load renders the stack. An error of type *Refusal lists everything in the
// files that cannot be honored, with file and line; another error is that of
// ctx. Where nothing but permissions is in the way, the Stack comes with the
// Refusal, as it would be with them.
//
// The files are merged in their order, the overlay last, as Compose does, with
// anchors, include, extends, !reset and !override. Paths in them are relative
// to the folder of the first file. Nothing is read but Input: further files
// (env_file, include, extends) come from Input.Read, variables from Input.Env
// and then from a .env in that folder of the commit; PWD is that folder. Services
// behind a profile that COMPOSE_PROFILES does not name are tasks, which no
// deployment starts.
//
// Every key that is not handled is refused by name; a key with nothing in it is
// not. What is accepted and has no effect (published ports of a web service, for
// the proxy reaches the container) is said in Stack.Notes.
//
// A bind whose source is a relative path mounts that file or folder of the commit,
// where it has one, and else a folder of the app's data. A volume without a name
// is one that the engine makes for each container.
//
// The environment of a service is, the first one winning: its `environment`,
// its env_file (later files first), and, if it is built from the repository,
// all of Input.Env. A file named .env that the commit lacks has the content of
// Input.Env; any other missing env_file is a problem unless `required: false`.
//
// The defaults: probe GET / on the port and host of the service's first route,
// answers 200 to 399, every 500 ms, 5 s for one, 2 in a row, within 2 minutes;
// with `path: ""` a connection suffices. Drain 30 s, guard 15 s, 5 releases
// kept, 10 s of grace before SIGKILL.
func Load(ctx context.Context, in Input) (Stack, error) {
	if err := ctx.Err(); err != nil {
		return Stack{}, err
	}
	l := newLoading(in)
	sources := l.sources()
	if len(l.found.problems) > 0 {
		return Stack{}, l.found.refusal()
	}
	l.readVariables()
	for _, s := range sources {
		l.flatten(s)
	}
	l.takeOver(sources)
	l.checkVariables(sources)
	top, services := l.views(sources)
	l.checkRoutes(services)
	l.check(top, services)
	l.prune(sources)
	project, err := l.merge(ctx, sources, viewsByPath(top, services))
	if err != nil {
		return Stack{}, err
	}
	var out Stack
	if project == nil {
		l.forgetProfiles(services)
	} else {
		c := conversion{l: l, project: project, top: top, services: services}
		out = c.stack()
	}
	out.Notes = l.found.sentences()
	if len(l.found.problems) == 0 {
		return out, nil
	}
	refusal := l.found.refusal()
	if !refusal.OnlyMissing() {
		out = Stack{}
	}
	return out, refusal
}

// loading is the state of one Load.
type loading struct {
	in    Input
	found *findings
	vars  variables
	dir   string // folder of the first file, which paths are relative to

	origin   map[*yaml.Node]string // file of a value that was copied from it
	opened   map[string]*source    // further files; nil: not usable
	adopted  map[string]bool       // files included in the document at hand
	injected map[string]bool       // services that are only there to be extended
	copied   int                   // values copied

	extending map[string]bool // services of files whose copies are being made
}

func newLoading(in Input) *loading {
	return &loading{
		in: in, found: newFindings(), vars: variables{}, dir: ".",
		origin: map[*yaml.Node]string{}, opened: map[string]*source{},
		adopted: map[string]bool{}, injected: map[string]bool{}, extending: map[string]bool{},
	}
}

// sources parses the app's own files and the overlay.
func (l *loading) sources() []*source {
	files := l.in.Files
	if len(files) == 0 {
		files = l.implicit()
	}
	if len(files) > 0 {
		l.dir = path.Dir(path.Clean(files[0].Path))
	}
	if strings.TrimSpace(l.in.Overlay) != "" {
		files = append(files[:len(files):len(files)], File{Path: overlayName, Content: []byte(l.in.Overlay)})
	}
	var sources []*source
	for _, f := range files {
		l.found.files = append(l.found.files, f.Path)
		if s, ok := l.parse(f.Path, f.Content); ok {
			sources = append(sources, s)
		}
	}
	return sources
}

// implicit is the compose file of a repository without one.
func (l *loading) implicit() []File {
	_, err := l.read("Dockerfile")
	switch {
	case err == nil:
		return []File{{Path: "Dockerfile", Content: []byte("services:\n  web:\n    build: .\n")}}
	case errors.Is(err, fs.ErrNotExist):
		l.found.add(place{}, "", "", "the app names no compose files and the commit has no Dockerfile at its root: "+
			"add a Dockerfile, or name the repository's compose files in the app's settings")
	default:
		l.found.add(place{"Dockerfile", 0}, "", "", "cannot be read: %v", err)
	}
	return nil
}

// forgetProfiles drops what was said about services behind a profile: with files
// that cannot be merged they are not what matters.
func (l *loading) forgetProfiles(services map[string]*view) {
	for name, v := range services {
		if v.has("profiles") {
			l.found.forget(name)
		}
	}
}

func (l *loading) prune(sources []*source) {
	for _, s := range sources {
		for _, doc := range s.docs {
			s.changed = prune(doc, l.found.refused) || s.changed
		}
	}
}

// readVariables gathers what fills in ${NAME}: the app's environment, which
// wins, and a .env of the commit, as Compose reads it.
func (l *loading) readVariables() {
	file := path.Join(l.dir, ".env")
	content, err := l.read(file)
	if err == nil {
		maps.Copy(l.vars, l.parseEnvFile(place{file, 0}, "", "", content))
	} else if !errors.Is(err, fs.ErrNotExist) {
		l.found.add(place{file, 0}, "", "", "cannot be read: %v", err)
	}
	l.vars["PWD"] = "." // where Compose would have been called: paths are relative to it
	maps.Copy(l.vars, l.in.Env)
	l.vars["COMPOSE_PROJECT_NAME"] = l.in.App
}
