package pipeline

import (
	"context"
	"io"
	"regexp"
	"strings"
)

// How much of what a container printed last becomes part of a reason.
const (
	lastLines = 8
	lastWidth = 300       // of a line, in bytes
	lastRead  = 256 << 10 // of what the engine gives for them
)

// lastOf are the last lines that a container printed, each on a line of its own,
// for the reason that people read where they do not see the log.
func (x *run) lastOf(ctx context.Context, c Container) string {
	out, err := x.Engine.Logs(ctx, c.ID, LogOrder{Tail: lastLines})
	if err != nil {
		return ""
	}
	if x.Masked != nil {
		out = x.Masked(out, x.secrets)
	}
	defer func() { _ = out.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(out, lastRead))
	if err != nil && len(text) == 0 {
		return ""
	}
	var b strings.Builder
	// Masked as a whole, before any of it is cut.
	for line := range strings.Lines(x.masked(string(text))) {
		if line = legible(line); line != "" {
			b.WriteString("\n  " + line)
		}
	}
	return b.String()
}

// legible takes colors and control characters out of a line, and cuts it.
func legible(line string) string {
	line = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]").ReplaceAllString(line, "")
	line = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, line))
	if len(line) > lastWidth {
		line = strings.ToValidUTF8(line[:lastWidth], "") + "…"
	}
	return line
}
