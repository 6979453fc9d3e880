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
	"strings"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/types"
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
	out := &Build{
		Context: ".", Dockerfile: "Dockerfile", Inline: f.DockerfileInline, Target: f.Target, Args: s.buildArgs(),
		Labels: some(f.Labels), Platform: s.buildPlatform(), ExtraHosts: s.extraHosts(f.ExtraHosts, "build", "extra_hosts"),
		Contexts: s.buildContexts(), ShmSize: int64(f.ShmSize), NoCache: f.NoCache, Pull: f.Pull,
	}
	s.buildSecrets(out)
	if f.Network == "none" {
		out.Network = f.Network
	}
	if f.Context != "" {
		out.Context = f.Context
	}
	if f.Dockerfile != "" {
		out.Dockerfile = path.Clean(f.Dockerfile)
	}
	for key, why := range map[string]string{
		"cache_from":      "the builder has its own cache",
		"cache_to":        "the builder has its own cache",
		"no_cache_filter": "write no_cache to build everything anew",
		"provenance":      "images stay on this engine",
		"sbom":            "images stay on this engine",
		"tags":            "the image is named by its content",
	} {
		if len(s.view.items("build", key)) > 0 {
			s.note("build."+key, "has no effect: "+why)
		}
	}
	if f.ShmSize > 0 {
		s.note("build.shm_size", "takes effect with version 23 of the engine or a newer one")
	}
	s.place(out)
	return out
}

func (s *service) buildArgs() map[string]string {
	out := map[string]string{}
	for name, value := range s.from.Build.Args {
		if value == nil {
			filled, ok := s.l.vars.lookup(name)
			if !ok {
				continue
			}
			value = &filled
		}
		out[name] = *value
	}
	return some(out)
}

// buildContexts are further folders of the repository, by the names under which
// the Dockerfile copies from them.
func (s *service) buildContexts() map[string]string {
	out := map[string]string{}
	for name, folder := range s.from.Build.AdditionalContexts {
		joined := s.cleanJoin(folder)
		switch {
		case strings.Contains(folder, ":") || remote(folder) || path.IsAbs(folder):
			s.addTo(name, "must be a folder of the repository: what is deployed is the commit", "build", "additional_contexts")
		case !inside(joined):
			s.addTo(name, "leads out of the repository", "build", "additional_contexts")
		case !stageName(name):
			s.addTo(name, "the name must be one that a stage of a Dockerfile can have: lower-case letters, digits, and single dots, dashes and underscores between them", "build", "additional_contexts")
		default:
			out[name] = joined
		}
	}
	return some(out)
}

// buildPlatform is the one platform that the image is for.
func (s *service) buildPlatform() string {
	platforms := s.list(s.from.Build.Platforms, platform, "build", "platforms")
	switch {
	case len(platforms) == 0:
		return s.from.Platform
	case s.from.Platform != "" && slices.Contains(platforms, s.from.Platform):
		return s.from.Platform
	case s.from.Platform != "":
		s.add("%s is not among them, which the service's platform is", []string{"build", "platforms"}, s.from.Platform)
	case len(platforms) > 1:
		s.add("an image is built for one platform, that of this host: name one", []string{"build", "platforms"})
	}
	return platforms[0]
}

// place resolves the context and looks for the Dockerfile. One that lies beside
// the context is carried with the build.
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
	if b.Inline != "" {
		if s.from.Build.Dockerfile != "" {
			s.add("there is dockerfile_inline too: keep one of them", dockerfile)
		}
		return
	}
	file := path.Join(b.Context, b.Dockerfile)
	if path.IsAbs(b.Dockerfile) || !inside(file) {
		s.add("must be a file of the repository, seen from the build's context", dockerfile)
		return
	}
	content, err := s.l.read(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.add("the commit has no file %s", dockerfile, s.l.mask(file))
	case err != nil:
		s.add("%s cannot be read: %v", dockerfile, s.l.mask(file), err)
	case !inside(b.Dockerfile):
		b.Inline = string(content)
		if b.Inline == "" {
			s.add("%s is empty", dockerfile, s.l.mask(file))
		} else if !utf8.Valid(content) {
			s.add("%s %s", dockerfile, s.l.mask(file), notUTF8)
		}
	}
}

// buildSecrets are the secrets that the Dockerfile mounts, and where their
// values come from.
func (s *service) buildSecrets(out *Build) {
	for _, ref := range s.from.Build.Secrets {
		id := strings.TrimPrefix(ref.Target, "/run/secrets/")
		if id == "" {
			id = ref.Source
		}
		var complaint string
		switch {
		case strings.ContainsAny(id, "/ ,"):
			complaint = "the target of a build secret is the id under which the Dockerfile mounts it"
		case ref.UID != "" || ref.GID != "" || ref.Mode != nil:
			complaint = "uid, gid and mode are not handled here: set them where the Dockerfile mounts the secret"
		case slices.Contains(out.Secrets, id):
			complaint = "two secrets have the same id for the Dockerfile"
		default:
			complaint = s.buildSecret(out, id, ref.Source)
		}
		if complaint != "" {
			s.l.found.add(s.fileAt(types.FileReferenceConfig(ref), "build", "secrets"), s.name, "build.secrets", "%s", complaint)
			continue
		}
		out.Secrets = append(out.Secrets, id)
	}
	slices.Sort(out.Secrets)
}

// buildSecret says where the value of one secret comes from. One that is not
// declared is a variable of the app's environment.
func (s *service) buildSecret(out *Build, id, source string) string {
	declared, ok := s.project.Secrets[source]
	if ok && declared.File != "" {
		at := s.top.at("secrets", source, "file")
		if content, ok := s.repositoryFile(at, "", "secrets."+source+".file", declared.File); ok {
			if out.Held == nil {
				out.Held = map[string][]byte{}
			}
			out.Held[id] = content
		}
		return ""
	}
	name := source
	if ok {
		name = declared.Environment
	}
	switch _, known := s.l.in.Env[name]; {
	case name == "":
		return noStore
	case !known:
		return "the app's environment has no " + s.l.mask(name) + ": set it there"
	}
	if name != id {
		if out.Renamed == nil {
			out.Renamed = map[string]string{}
		}
		out.Renamed[id] = name
	}
	return ""
}
