package stack

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v4"
)

// variables fill in ${NAME}. They come from the app and the commit, never from
// the process.
type variables map[string]string

func (v variables) lookup(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

// expand fills in all variables of a text. It goes on after a failure, so that
// everything wrong is known at once; unset names variables that are empty for
// want of a value and of a default.
func (v variables) expand(text string) (out string, unset []string, failures []string) {
	if !strings.Contains(text, "$") {
		return text, nil, nil
	}
	var b strings.Builder
	for _, token := range tokens(text) {
		if token[0] != '$' {
			b.WriteString(token)
			continue
		}
		missing := false
		value, err := template.SubstituteWithOptions(token, v.lookup, template.WithoutLogging,
			template.WithReplacementFunction(func(s string, m template.Mapping, c *template.Config) (string, error) {
				value, ok, err := template.DefaultReplacementAppliedFunc(s, m, c)
				missing = !ok && err == nil
				return value, err
			}))
		if err != nil {
			failures = append(failures, explain(token, err))
			continue
		}
		if missing {
			unset = append(unset, strings.Trim(token, "${}"))
		}
		b.WriteString(value)
	}
	return b.String(), unset, failures
}

// explain tells a failure without any value of a variable.
func explain(token string, err error) string {
	var missing *template.MissingRequiredError
	if !errors.As(err, &missing) {
		return fmt.Sprintf("%q is not a variable: write ${NAME}, or $$ for a plain $", token)
	}
	reason := ""
	if missing.Reason != "" {
		// The reason as it stands in the file: filled in it could hold a secret.
		_, reason, _ = strings.Cut(strings.TrimSuffix(token, "}"), "?")
		reason = " (" + reason + ")"
	}
	return fmt.Sprintf("the variable %s has no value%s: set it in the app's environment", missing.Variable, reason)
}

// tokens cuts a text so that each variable stands alone: compose-go reports
// one failure per text, and we want them all.
func tokens(text string) []string {
	name := regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]*`)
	var out []string
	for text != "" {
		size := strings.IndexByte(text, '$')
		switch {
		case size < 0:
			size = len(text)
		case size > 0:
		case strings.HasPrefix(text, "$$"):
			size = 2
		case strings.HasPrefix(text, "${"):
			size = braced(text)
		default:
			size = 1 + len(name.FindString(text[1:]))
		}
		out, text = append(out, text[:size]), text[size:]
	}
	return out
}

// braced is the length of the variable that a text begins with, up to the
// brace that closes it.
func braced(text string) int {
	open := 0
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// checkVariables reports every variable in the files that cannot be filled in,
// and notes the ones that are empty.
func (l *loading) checkVariables(sources []*source) {
	for _, s := range sources {
		seen := map[*yaml.Node]bool{}
		var garbled []place
		for _, doc := range s.docs {
			garbled = l.checkVariablesIn(s.path, doc, seen, garbled)
		}
		for _, at := range garbled {
			l.found.garbled[at] = true
		}
	}
}

func (l *loading) checkVariablesIn(file string, n *yaml.Node, seen map[*yaml.Node]bool, garbled []place) []place {
	n = deref(n)
	if seen[n] || n.Tag == resetTag {
		return garbled
	}
	seen[n] = true
	file = l.fileOf(n, file)
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			garbled = l.checkVariablesIn(file, child, seen, garbled)
		}
	}
	if n.Kind != yaml.ScalarNode {
		return garbled
	}
	at := place{file, n.Line}
	_, unset, failures := l.vars.expand(n.Value)
	for _, name := range unset {
		l.found.note(at, "", "", fmt.Sprintf("the variable %s is not set and has no default: it is empty here", name))
	}
	for _, failure := range failures {
		l.found.block(at, "", "%s", failure)
		garbled = append(garbled, at)
	}
	return garbled
}
