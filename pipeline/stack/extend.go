package stack

import (
	"fmt"
	"path"
	"slices"

	"go.yaml.in/yaml/v4"
)

func extendsFile(doc *yaml.Node) bool {
	services, _ := lookup(doc, "services")
	if services.value == nil {
		return false
	}
	for _, svc := range pairs(services.value) {
		if ext, ok := lookup(svc.value, "extends"); ok {
			if _, ok := lookup(ext.value, "file"); ok {
				return true
			}
		}
	}
	return false
}

// extend replaces each `extends` that names a file by one that names a copy of
// the service in this document.
func (l *loading) extend(doc *yaml.Node) {
	services, ok := lookup(doc, "services")
	if !ok {
		return
	}
	copies := map[string]string{}
	for _, svc := range pairs(services.value) {
		ext, ok := lookup(svc.value, "extends")
		if !ok {
			continue
		}
		file, ok := lookup(ext.value, "file")
		base, _ := lookup(ext.value, "service")
		if !ok || base.value == nil {
			continue
		}
		at := place{l.fileOf(ext.key, ""), ext.key.Line}
		name, _, _ := l.vars.expand(file.value.Value)
		if into, ok := l.inject(services.value, at, l.dir, name, base.value.Value, copies); ok {
			set(svc.value, "extends", scalar(into, ext.key.Line))
		} else {
			drop(svc.value, "extends")
		}
	}
}

// inject copies a service of a file, and what it extends in turn, into services
// and answers the copy's name.
func (l *loading) inject(services *yaml.Node, at place, dir, file, name string, copies map[string]string) (string, bool) {
	id := path.Join(dir, file) + "\x00" + name
	if l.extending[id] {
		l.found.block(at, "extends", "%s of %s extends itself", name, path.Join(dir, file))
		return "", false
	}
	if into, ok := copies[id]; ok {
		return into, true
	}
	s, ok := l.openFrom(at, "extends", dir, file)
	if !ok {
		return "", false
	}
	for _, doc := range slices.Backward(s.docs) {
		all, _ := lookup(doc, "services")
		if all.value == nil {
			continue
		}
		svc, ok := lookup(all.value, name)
		if !ok {
			continue
		}
		into := fmt.Sprintf("extended-%d-%s", len(l.injected), name)
		copies[id], l.injected[into] = into, true
		c := l.copyOf(svc.value, s.path)
		l.extending[id] = true
		l.injectBase(services, c, s.path, copies)
		delete(l.extending, id)
		l.rebase(c, path.Dir(s.path))
		set(services, into, c)
		return into, true
	}
	l.found.block(at, "extends", "%s has no service %s", s.path, name)
	return "", false
}

// injectBase brings in what a copied service extends in turn.
func (l *loading) injectBase(services, c *yaml.Node, file string, copies map[string]string) {
	ext, ok := lookup(c, "extends")
	if !ok {
		return
	}
	name, from := ext.value.Value, path.Base(file)
	if f, ok := lookup(ext.value, "file"); ok {
		from, _, _ = l.vars.expand(f.value.Value)
	}
	if b, ok := lookup(ext.value, "service"); ok {
		name = b.value.Value
	}
	drop(c, "extends")
	if base, ok := l.inject(services, place{file, ext.key.Line}, path.Dir(file), from, name, copies); ok {
		set(c, "extends", scalar(base, ext.key.Line))
	}
}
