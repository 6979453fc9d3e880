package docker

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

// told is how many of the last lines of a failed step its error shows.
const told = 8

// BuildError is why an image could not be built, for the person who wrote the
// Dockerfile.
type BuildError struct {
	Service  string
	Step     string   // the instruction that failed, empty if none did
	ExitCode int      // of the step's command, 0 if it did not come to that
	Output   []string // the step's last lines, secrets masked
	Hint     string   // what to do about it, where that is known
	Err      error
}

func (e *BuildError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "build %s: ", e.Service)
	switch {
	case e.Step != "" && e.ExitCode != 0:
		fmt.Fprintf(&b, "step %s ended with exit code %d", e.Step, e.ExitCode)
	case e.Step != "":
		fmt.Fprintf(&b, "step %s: %v", e.Step, e.Err)
	default:
		b.WriteString(e.Err.Error())
	}
	for _, line := range e.Output {
		b.WriteString("\n  " + line)
	}
	if e.Hint != "" {
		b.WriteString("\nhint: " + e.Hint)
	}
	return b.String()
}

// Unwrap is the engine's own error.
func (e *BuildError) Unwrap() error { return e.Err }

func exitRule() *regexp.Regexp { return regexp.MustCompile(`exit code: (\d+)`) }

// buildFailure makes of a build's end what people can act on. A build that was
// canceled returns why.
func (e *Engine) buildFailure(ctx context.Context, o pipeline.BuildOrder, file dockerfile, p *progress, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", o.Owner.Service, context.Cause(ctx))
	}
	mask := masker(secretValues(o))
	out := &BuildError{Service: o.Owner.Service, Err: &masked{text: mask(err.Error()), err: said(err, "build")}}
	if s := p.failed(); s != nil {
		out.Step = mask(s.name)
		if found := exitRule().FindStringSubmatch(s.err); found != nil {
			out.ExitCode, _ = strconv.Atoi(found[1]) // only digits
		}
		for _, line := range s.last[max(0, len(s.last)-told):] {
			out.Output = append(out.Output, shorten(mask(plain(line)), 300))
		}
	}
	out.Hint = hint(file, err, out.ExitCode)
	return out
}

// hint knows what older engines stumble over.
func hint(file dockerfile, err error, exitCode int) string {
	text := strings.ToLower(err.Error())
	parsing := strings.Contains(text, "parse") || strings.Contains(text, "unknown flag") ||
		strings.Contains(text, "unknown instruction") || strings.Contains(text, "not found")
	switch {
	case len(file.newer) > 0 && (parsing || exitCode != 0):
		return "the builder inside this engine may not know " + strings.Join(file.newer, ", ") +
			"; write it without heredocs and --link, or use a newer engine"
	case file.syntax && (strings.Contains(text, "resolve source metadata") || strings.Contains(text, "frontend")):
		return "the line \"# syntax=\" makes the engine pull a Dockerfile frontend from a registry; leave it out, or let the engine reach that registry"
	case strings.Contains(text, "no space left on device"):
		return "the engine's disk is full; docker builder prune frees its build cache"
	}
	return ""
}

// masked is an error whose text was cleaned of secrets.
type masked struct {
	text string
	err  error
}

func (m *masked) Error() string { return m.text }

// Is finds the pipeline's sentinels; the text below stays hidden.
func (m *masked) Is(target error) bool { return errors.Is(m.err, target) }

// masker returns a function that takes secret values out of a text, also as they
// look in base64, in a URL and in a quoted string, and each line of those that
// have several.
func masker(values []string) func(string) string {
	var pairs []string
	for _, value := range values {
		for _, part := range append(strings.Split(value, "\n"), value) {
			part = strings.TrimSpace(part)
			if len(part) < 6 {
				continue
			}
			quoted := strconv.Quote(part)
			for _, form := range []string{
				part, base64.StdEncoding.EncodeToString([]byte(part)), base64.RawStdEncoding.EncodeToString([]byte(part)),
				url.QueryEscape(part), url.PathEscape(part), quoted[1 : len(quoted)-1],
			} {
				pairs = append(pairs, form, "***")
			}
		}
	}
	return strings.NewReplacer(pairs...).Replace
}

func escapeRule() *regexp.Regexp { return regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b.?") }

// plain takes terminal sequences and control characters out of a line.
func plain(line string) string {
	if at := strings.LastIndexByte(line, '\r'); at >= 0 {
		line = line[at+1:] // what a terminal would show last
	}
	line = escapeRule().ReplaceAllString(line, "")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, line)
}
