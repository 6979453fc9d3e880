package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Bounds of one file. Real files have a few thousand values; aliases count as
// often as they are used, so that a small file cannot become a huge one.
const (
	maxNodes = 50_000
	maxDepth = 60
)

// source is one file, parsed by the parser that compose-go uses, so that both
// see the same document.
type source struct {
	path    string
	content []byte
	docs    []*yaml.Node // mappings
	changed bool         // docs differ from content
}

// parse reads the documents of a file and refuses what nothing after it could
// handle. ok is false if there is nothing to work with.
func (l *loading) parse(path string, content []byte) (s *source, ok bool) {
	s = &source{path: path, content: content}
	defer func() {
		// The parser is fed by strangers; a panic in it must not end the server.
		if r := recover(); r != nil {
			l.found.block(place{path, 0}, "", "not readable as YAML")
			ok = false
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return s, true
		}
		if err != nil {
			line, message := yamlError(err)
			l.found.block(place{path, line}, "", "not readable as YAML: %s", message)
			return s, false
		}
		if !l.accept(s, &doc) {
			return s, false
		}
	}
}

func (l *loading) accept(s *source, doc *yaml.Node) bool {
	root := doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	if isNull(root) {
		s.changed = true // an empty document is nothing to compose-go, but an error
		return true
	}
	if root.Kind != yaml.MappingNode {
		l.found.block(place{s.path, root.Line}, "", "the top level must be a mapping with services")
		return false
	}
	v := vetting{found: l.found, file: s.path, open: map[*yaml.Node]bool{}}
	if !v.visit(root, 0) {
		return false
	}
	if at, name := withoutServices(root); name != "" {
		l.found.block(place{s.path, at}, "", "there is no key services, and %s is at the top level, as in the first version of Compose: put the services below services:", name)
		return false
	}
	s.docs = append(s.docs, root)
	return true
}

// withoutServices finds the first service of a file that has them at its top
// level: nothing that could be said of them by themselves would help.
func withoutServices(root *yaml.Node) (line int, name string) {
	if _, ok := lookup(root, "services"); ok {
		return 0, ""
	}
	known := topRules()
	for _, c := range pairs(root) {
		_, image := lookup(c.value, "image")
		_, build := lookup(c.value, "build")
		if _, ours := known[c.key.Value]; !ours && !strings.HasPrefix(c.key.Value, "x-") && (image || build) {
			return c.key.Line, c.key.Value
		}
	}
	return 0, ""
}

// yamlError takes the line out of the parser's message. The message quotes the
// file, which comes from the repository and holds no secret of ours.
func yamlError(err error) (int, string) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if all := regexp.MustCompile(`line (\d+)`).FindAllStringSubmatch(text, -1); all != nil {
		line, _ = strconv.Atoi(all[len(all)-1][1]) // digits; 0 where they are too many
	}
	return line, strings.Join(strings.Fields(text), " ")
}

// vetting walks a document with its aliases once: size, depth, cycles and keys
// that are there twice.
type vetting struct {
	found *findings
	file  string
	nodes int
	open  map[*yaml.Node]bool
}

func (v *vetting) visit(n *yaml.Node, depth int) bool {
	n = deref(n)
	v.nodes++
	at := place{v.file, n.Line}
	switch {
	case v.open[n]:
		v.found.block(at, "", "an alias contains itself")
		return false
	case v.nodes > maxNodes:
		v.found.block(place{v.file, 0}, "", "more than %d values with its aliases filled in: too large", maxNodes)
		return false
	case depth > maxDepth:
		v.found.block(at, "", "nested deeper than %d levels", maxDepth)
		return false
	}
	v.open[n] = true
	defer delete(v.open, n)
	if n.Kind == yaml.MappingNode && !v.unique(n) {
		return false
	}
	for _, child := range n.Content {
		if !v.visit(child, depth+1) {
			return false
		}
	}
	return true
}

func (v *vetting) unique(n *yaml.Node) bool {
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := deref(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			v.found.block(place{v.file, key.Line}, "", "a key must be a plain word")
			return false
		}
		if line, twice := lines[key.Value]; twice {
			v.found.block(place{v.file, key.Line}, key.Value, "the key is there already in line %d", line)
			return false
		}
		lines[key.Value] = key.Line
	}
	return true
}

func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// pair is a key with its value, aliases followed.
type pair struct {
	key   *yaml.Node
	value *yaml.Node
}

// pairs lists what a mapping holds, with what its merge keys bring: its own
// keys win, then the earlier merge.
func pairs(n *yaml.Node) []pair {
	n = deref(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	var out []pair
	var merges []*yaml.Node
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := deref(n.Content[i]), deref(n.Content[i+1])
		switch {
		case key.ShortTag() != "!!merge":
			out, seen[key.Value] = append(out, pair{key, value}), true
		case value.Kind == yaml.SequenceNode:
			merges = append(merges, value.Content...)
		default:
			merges = append(merges, value)
		}
	}
	for _, m := range merges {
		for _, p := range pairs(m) {
			if !seen[p.key.Value] {
				out, seen[p.key.Value] = append(out, p), true
			}
		}
	}
	return out
}

func lookup(n *yaml.Node, key string) (pair, bool) {
	for _, p := range pairs(n) {
		if p.key.Value == key {
			return p, true
		}
	}
	return pair{}, false
}

// set puts a key into a mapping that has no merge keys.
func set(n *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: value.Line}, value)
}

func drop(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = append(n.Content[:i], n.Content[i+2:]...)
			return true
		}
	}
	return false
}

// spell has the encoder write what was read. It turns an absent value in a flow
// mapping into an empty text, so every null is written out; and it adds lines to
// a folded text with deeper lines in it, so blocks of text are quoted.
func spell(n *yaml.Node) {
	if isNull(n) {
		n.Value = "null"
	}
	if block := yaml.FoldedStyle | yaml.LiteralStyle; n.Style&block != 0 {
		n.Style = n.Style&^block | yaml.DoubleQuotedStyle
	}
	for _, child := range n.Content {
		spell(child)
	}
}

// prune takes the keys out that were refused, so that compose-go loads the rest
// and what else is wrong is found too.
func prune(n *yaml.Node, refused map[*yaml.Node]bool) (pruned bool) {
	if n.Kind == yaml.SequenceNode {
		kept := slices.DeleteFunc(slices.Clone(n.Content), func(c *yaml.Node) bool { return refused[deref(c)] })
		pruned = len(kept) < len(n.Content)
		n.Content = kept
	}
	if n.Kind == yaml.MappingNode {
		var kept []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !refused[deref(n.Content[i])] {
				kept = append(kept, n.Content[i], n.Content[i+1])
			}
		}
		pruned = len(kept) < len(n.Content)
		n.Content = kept
	}
	for _, child := range n.Content {
		pruned = prune(child, refused) || pruned
	}
	return pruned
}

// encode writes the documents back for compose-go where they were changed.
func (s *source) encode() ([]byte, error) {
	if !s.changed {
		return s.content, nil
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	for _, doc := range s.docs {
		spell(doc)
		if err := enc.Encode(doc); err != nil {
			return nil, fmt.Errorf("write %s: %w", s.path, err)
		}
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("write %s: %w", s.path, err)
	}
	return out.Bytes(), nil
}
