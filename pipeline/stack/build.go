package stack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
)

// Key identifies the image that a build makes, in hexadecimal: whatever of the
// build decides what is in the image is in the key. Where the context lies, what
// the builder may take from its cache and how it may work do not.
//
// trees is git's hash of the context folder, and after it those of the further
// contexts in the order of their names. secrets is a fingerprint of the secrets'
// values, empty without any.
func Key(b Build, trees, secrets string) string {
	h := sha256.New()
	write := func(text string) { fmt.Fprintf(h, "%d:%s,", len(text), text) }
	table := func(what string, m map[string]string) {
		fmt.Fprintf(h, "%d %s,", len(m), what)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			write(name)
			write(m[name])
		}
	}
	list := func(what string, names []string) {
		fmt.Fprintf(h, "%d %s,", len(names), what)
		for _, name := range slices.Sorted(slices.Values(names)) {
			write(name)
		}
	}
	write("v2")
	write(trees)
	write(b.Dockerfile)
	write(b.Inline)
	write(b.Target)
	write(b.Platform)
	write(b.Network)
	table("args", b.Args)
	table("labels", b.Labels)
	list("hosts", b.ExtraHosts)
	list("contexts", slices.Collect(maps.Keys(b.Contexts)))
	list("secrets", b.Secrets)
	write(secrets)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// build says how the service's image is made; everything is inside the commit.
func (s *service) build() *Build {
	f := s.from.Build
	out := &Build{Context: ".", Dockerfile: "Dockerfile", Target: f.Target, Secrets: s.buildSecrets()}
	if f.Context != "" {
		out.Context = f.Context
	}
	if f.Dockerfile != "" {
		out.Dockerfile = path.Clean(f.Dockerfile)
	}
	for name, value := range f.Args {
		if value == nil {
			filled, ok := s.l.vars.lookup(name)
			if !ok {
				continue
			}
			value = &filled
		}
		if out.Args == nil {
			out.Args = map[string]string{}
		}
		out.Args[name] = *value
	}
	if len(f.Labels) > 0 {
		s.l.found.note(s.view.at("build", "labels"), s.name, "build.labels", "has no effect: images carry Swingbridge's own labels")
	}
	s.place(out)
	return out
}

// place resolves the context and checks that the Dockerfile is there.
func (s *service) place(b *Build) {
	context := []string{"build", "context"}
	if remote(b.Context) || path.IsAbs(b.Context) {
		s.add("must be a folder of the repository: what is deployed is the commit", context)
		return
	}
	b.Context = s.cleanJoin(b.Context)
	if !inside(b.Context) {
		s.add("leads out of the repository", context)
		return
	}
	dockerfile := []string{"build", "dockerfile"}
	if !inside(b.Dockerfile) {
		s.add("must be inside the build's context, whose folder is %s", dockerfile, b.Context)
		return
	}
	file := path.Join(b.Context, b.Dockerfile)
	switch _, err := s.l.read(file); {
	case errors.Is(err, fs.ErrNotExist):
		s.add("the commit has no file %s", dockerfile, s.l.mask(file))
	case err != nil:
		s.add("%s cannot be read: %v", dockerfile, s.l.mask(file), err)
	}
}

// buildSecrets are names of the app's environment. A name is the secret's id
// for the Dockerfile, so the file must not rename it.
func (s *service) buildSecrets() []string {
	var out []string
	keys := []string{"build", "secrets"}
	for _, ref := range s.from.Build.Secrets {
		name := ref.Source
		if declared, ok := s.project.Secrets[name]; ok {
			name = declared.Environment
		}
		_, known := s.l.in.Env[name]
		switch {
		case name == "":
			s.add("the secret %s must name a variable of the app's environment, as `environment: NAME`", keys, ref.Source)
		case name != ref.Source || ref.Target != "" && ref.Target != name && ref.Target != "/run/secrets/"+name:
			s.add("call the secret %s as its variable is called, %s, here and in the Dockerfile", keys, ref.Source, name)
		case ref.UID != "" || ref.GID != "" || ref.Mode != nil:
			s.add("uid, gid and mode of the secret %s are not handled: set them where the Dockerfile mounts it", keys, name)
		case !known:
			s.add("the app's environment has no %s: set it there", keys, name)
		case !slices.Contains(out, name):
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
