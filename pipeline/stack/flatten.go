package stack

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// compose-go reads the files that `include` and `extends` name from the disk.
// Ours are in a commit, so what they bring is copied into the document before
// compose-go sees it: a service that is extended under a name of its own, which
// is left out again afterwards. A copy remembers the file it comes from.

// flatten brings the other files that a source names into it.
func (l *loading) flatten(s *source) {
	for i, doc := range s.docs {
		if drop(doc, "version") {
			s.changed = true // obsolete: compose-go would complain on the process's stderr
		}
		if _, ok := lookup(doc, "include"); !ok && !extendsFile(doc) {
			continue
		}
		doc = l.copyOf(doc, s.path)
		s.docs[i], s.changed = doc, true
		if inc, ok := lookup(doc, "include"); ok {
			drop(doc, "include")
			clear(l.adopted)
			l.include(doc, inc.value, l.dir, []string{s.path})
		}
		l.extend(doc)
	}
}

// include copies the resources of the listed files into doc. dir is the folder
// that their paths are relative to, chain the files on the way here.
func (l *loading) include(doc, list *yaml.Node, dir string, chain []string) {
	at := place{l.fileOf(list, chain[len(chain)-1]), list.Line}
	if list.Kind != yaml.SequenceNode {
		l.found.block(at, "include", "write it as a list of files")
		return
	}
	for _, entry := range list.Content {
		at.line = entry.Line
		name := entry.Value
		if entry.Kind == yaml.MappingNode {
			name = ""
			for _, p := range pairs(entry) {
				one := p.value
				if one.Kind == yaml.SequenceNode && len(one.Content) == 1 {
					one = one.Content[0]
				}
				if p.key.Value != "path" || one.Kind != yaml.ScalarNode {
					l.found.block(place{at.file, p.key.Line}, "include."+p.key.Value, "only the path of one file is handled here: name further files in the app's compose files")
					continue
				}
				name = one.Value
			}
		}
		if name != "" {
			l.includeFile(doc, at, dir, name, chain)
		}
	}
}

func (l *loading) includeFile(doc *yaml.Node, at place, dir, name string, chain []string) {
	name, _, _ = l.vars.expand(name)
	s, ok := l.openFrom(at, "include", dir, name)
	if !ok {
		return
	}
	if slices.Contains(chain, s.path) || len(chain) > 20 {
		l.found.block(at, "include", "%s includes itself", s.path)
		return
	}
	if l.adopted[s.path] {
		return
	}
	l.adopted[s.path] = true
	dir = path.Dir(s.path)
	for _, included := range s.docs {
		included = l.copyOf(included, s.path)
		if inc, ok := lookup(included, "include"); ok {
			l.include(included, inc.value, dir, append(slices.Clone(chain), s.path))
		}
		for _, section := range pairs(included) {
			switch key := section.key.Value; {
			case key == "x-swingbridge":
				l.found.add(place{s.path, section.key.Line}, "", key, "write it into one of the app's own files, an included file cannot set it")
			case key != "name" && key != "version" && key != "include" && !strings.HasPrefix(key, "x-"):
				l.adopt(doc, key, section.value, dir)
			}
		}
	}
}

// adopt copies one section of an included file.
func (l *loading) adopt(doc *yaml.Node, section string, from *yaml.Node, dir string) {
	to, ok := lookup(doc, section)
	if !ok || isNull(to.value) {
		to.value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: from.Line}
		l.origin[to.value] = l.fileOf(from, "")
		set(doc, section, to.value)
	}
	for _, p := range pairs(from) {
		at := place{l.fileOf(p.key, ""), p.key.Line}
		if _, twice := lookup(to.value, p.key.Value); twice {
			l.found.block(at, section+"."+p.key.Value, "the including file has one of this name: name the file in the app's compose files to merge them")
			continue
		}
		switch section {
		case "services":
			l.rebase(p.value, dir)
		case "secrets", "configs":
			if file, ok := lookup(p.value, "file"); ok {
				l.mover(dir)(file.value)
			}
		}
		to.value.Content = append(to.value.Content, p.key, p.value)
	}
}

func scalar(text string, line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: line}
}

// copyOf copies a value with its aliases and merge keys filled in.
func (l *loading) copyOf(n *yaml.Node, file string) *yaml.Node {
	n = deref(n)
	file = l.fileOf(n, file)
	if l.copied++; l.copied > 10*maxNodes {
		l.found.block(place{file, 0}, "", "what the files include and extend is too large")
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	c := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line, Column: n.Column}
	l.origin[c] = file
	if n.Kind == yaml.SequenceNode {
		for _, child := range n.Content {
			c.Content = append(c.Content, l.copyOf(child, file))
		}
	}
	for _, p := range pairs(n) {
		c.Content = append(c.Content, l.copyOf(p.key, file), l.copyOf(p.value, file))
	}
	return c
}

// fileOf is the file that a value comes from: the one remembered with a copy,
// else the one that is being walked.
func (l *loading) fileOf(n *yaml.Node, walked string) string {
	if file, ok := l.origin[n]; ok {
		return file
	}
	return walked
}

// mover rewrites a path that stood in another folder, so that it is relative to
// the project's.
func (l *loading) mover(dir string) func(*yaml.Node) {
	rel, err := filepath.Rel(l.dir, dir)
	if err != nil || rel == "." {
		return func(*yaml.Node) {}
	}
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Value != "" && !path.IsAbs(n.Value) && !remote(n.Value) {
			n.Value = path.Join(filepath.ToSlash(rel), n.Value)
		}
	}
}

// moveEntries rewrites the paths of a mapping, or of a list of NAME=PATH.
func moveEntries(move func(*yaml.Node), n *yaml.Node) {
	for _, p := range pairs(n) {
		move(p.value)
	}
	if n.Kind != yaml.SequenceNode {
		return
	}
	for _, entry := range n.Content {
		name, file, ok := strings.Cut(entry.Value, "=")
		if moved := (&yaml.Node{Kind: yaml.ScalarNode, Value: file}); ok {
			move(moved)
			entry.Value = name + "=" + moved.Value
		}
	}
}

// rebase rewrites the paths of a service that stood in another folder.
func (l *loading) rebase(service *yaml.Node, dir string) {
	move := l.mover(dir)
	if build, ok := lookup(service, "build"); ok {
		move(build.value)
		if c, ok := lookup(build.value, "context"); ok {
			move(c.value)
		}
		if contexts, ok := lookup(build.value, "additional_contexts"); ok {
			moveEntries(move, contexts.value)
		}
	}
	for _, key := range []string{"env_file", "label_file"} {
		files, ok := lookup(service, key)
		if !ok {
			continue
		}
		move(files.value)
		for _, entry := range files.value.Content {
			move(entry)
			if p, ok := lookup(entry, "path"); ok {
				move(p.value)
			}
		}
	}
	if ext, ok := lookup(service, "extends"); ok {
		if f, ok := lookup(ext.value, "file"); ok {
			move(f.value)
		}
	}
	rel, err := filepath.Rel(l.dir, dir)
	if mounts, ok := lookup(service, "volumes"); ok && err == nil && rel != "." {
		for _, entry := range mounts.value.Content {
			l.rebaseMount(entry, filepath.ToSlash(rel))
		}
	}
}
