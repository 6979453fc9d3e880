package stack

import (
	"regexp"
	"strings"
)

// directive is one line of a Caddyfile with the block that it opens. At the top
// level its words are the addresses of a site.
type directive struct {
	line  int
	words []string
	block []directive
}

// caddyfile reads what it can of a Caddyfile: it is made to tell people what a
// front does, not to do it. Sites without braces, quotes, comments, variables
// and snippets of the file are understood; ok is false where braces do not
// match.
func caddyfile(text string, lookup func(string) (string, bool)) (top []directive, ok bool) {
	r := caddyReader{}
	for n, line := range strings.Split(fillCaddy(text, lookup), "\n") {
		r.line(n+1, line)
	}
	if r.broken || len(r.open) > 0 {
		return nil, false
	}
	r.end()
	return splice(unbraced(r.top), snippets(r.top), 0), true
}

// fillCaddy fills in {$NAME} and {$NAME:default}; what has no value stays.
func fillCaddy(text string, lookup func(string) (string, bool)) string {
	return regexp.MustCompile(`\{\$([A-Za-z_][A-Za-z0-9_]*)(:[^}\n]*)?\}`).ReplaceAllStringFunc(text, func(found string) string {
		name, otherwise, given := strings.Cut(strings.Trim(found, "{$}"), ":")
		value, ok := lookup(name)
		switch {
		case ok && value != "" && !strings.ContainsAny(value, "{}\n"):
			return value
		case given:
			return otherwise
		}
		return found
	})
}

// caddyReader gathers lines into blocks.
type caddyReader struct {
	top    []directive
	open   []directive // blocks that are not closed yet, the outermost first
	words  []string    // of a line that goes on in the next one
	began  int
	broken bool
}

const maxCaddyDepth = 20

func (r *caddyReader) line(n int, text string) {
	words := caddyWords(text)
	if len(words) == 0 {
		return
	}
	if len(r.words) == 0 {
		r.began = n
	}
	r.words = append(r.words, words...)
	switch last := words[len(words)-1]; {
	case last == "\\":
		r.words = r.words[:len(r.words)-1]
	case strings.HasSuffix(last, ","):
	case last == "{":
		r.open = append(r.open, directive{line: r.began, words: r.words[:len(r.words)-1]})
		r.words = nil
		r.broken = r.broken || len(r.open) > maxCaddyDepth
	case last == "}" && len(r.words) == 1 && len(r.open) > 0:
		closed := r.open[len(r.open)-1]
		r.open, r.words = r.open[:len(r.open)-1], nil
		r.put(closed)
	case last == "}":
		r.broken = true
	default:
		r.end()
	}
}

// end ends a line that opens no block.
func (r *caddyReader) end() {
	if len(r.words) > 0 {
		r.put(directive{line: r.began, words: r.words})
	}
	r.words = nil
}

func (r *caddyReader) put(d directive) {
	if len(r.open) == 0 {
		r.top = append(r.top, d)
		return
	}
	in := &r.open[len(r.open)-1]
	in.block = append(in.block, d)
}

// caddyWords cuts a line into words, without its comment.
func caddyWords(line string) []string {
	var out []string
	for line = strings.TrimSpace(line); line != "" && line[0] != '#'; line = strings.TrimSpace(line) {
		end := strings.IndexAny(line, " \t\r")
		if quote := line[0]; quote == '"' || quote == '`' {
			if i := strings.IndexByte(line[1:], quote); i >= 0 {
				out, line = append(out, line[1:i+1]), line[i+2:]
				continue
			}
		}
		if end < 0 {
			end = len(line)
		}
		out, line = append(out, line[:end]), line[end:]
	}
	return out
}

// unbraced makes a site of a file whose only one has no braces.
func unbraced(top []directive) []directive {
	for i, d := range top {
		switch {
		case len(d.words) == 0, strings.HasPrefix(d.words[0], "("): // options, a snippet
		case d.block != nil || d.words[0] == "import":
			return top
		default:
			d.block = top[i+1:]
			return append(top[:i:i], d)
		}
	}
	return top
}

func snippets(top []directive) map[string][]directive {
	out := map[string][]directive{}
	for _, d := range top {
		if len(d.words) == 1 && strings.HasPrefix(d.words[0], "(") {
			out[strings.Trim(d.words[0], "()")] = d.block
		}
	}
	return out
}

// splice puts snippets where they are imported.
func splice(block []directive, snippets map[string][]directive, depth int) []directive {
	var out []directive
	for _, d := range block {
		switch {
		case depth == 0 && len(d.words) == 1 && strings.HasPrefix(d.words[0], "("):
			continue
		case len(d.words) == 2 && d.words[0] == "import" && snippets[d.words[1]] != nil && depth < 3:
			out = append(out, splice(snippets[d.words[1]], snippets, depth+1)...)
			continue
		case depth < maxCaddyDepth && d.block != nil:
			d.block = splice(d.block, snippets, depth+1)
		}
		out = append(out, d)
	}
	return out
}
