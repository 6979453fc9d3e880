package pipeline

import (
	"slices"
	"strconv"
	"strings"
)

// masked is a sentence for people without what the log may not have either.
func (x *run) masked(text string) string {
	values := secretsOf(x.env)
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // one may begin with another
	for _, v := range values {
		if len(v) >= 6 { // as in logs: shorter ones would tear holes
			quoted := strconv.Quote(v)
			text = strings.ReplaceAll(text, v, "***")
			text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], "***")
		}
	}
	return text
}

// secretsOf lists the values that must never reach a log.
func secretsOf(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for _, v := range env {
		out = append(out, v)
	}
	return out
}
