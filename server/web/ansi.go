package web

import (
	"bytes"
	"html/template"
	"strings"
	"unicode/utf8"

	terminal "github.com/buildkite/terminal-to-html/v3"
)

// maxLine is how much of one line of a log a page shows, in bytes.
const maxLine = 16 << 10

// lineHTML is a line of a log for a page. Whatever a build printed, all that
// comes out is text and spans with classes.
func lineHTML(raw []byte) template.HTML {
	note := ""
	if len(raw) > maxLine {
		raw, note = raw[:maxLine], " … this line goes on in the whole log"
	}
	text := plainText(strings.ToValidUTF8(string(raw), "\uFFFD"))
	if !strings.ContainsAny(text, "\x1b\r\b") {
		return template.HTML(template.HTMLEscapeString(text + note)) //nolint:gosec // escaped right here
	}
	screen, err := terminal.NewScreen()
	if err == nil {
		screen.Timestamps = false
		_, err = screen.Write([]byte(text))
	}
	if err != nil {
		return template.HTML(template.HTMLEscapeString(strings.ReplaceAll(text, "\x1b", "") + note)) //nolint:gosec // escaped right here
	}
	html := strings.TrimRight(screen.AsHTML(), "\n")
	return template.HTML(html + template.HTMLEscapeString(note)) //nolint:gosec // the library escapes all text, and plainText left it nothing else
}

// plainText leaves of a terminal's language only what colors text: links,
// pictures and movements of the cursor would let a build rewrite the page.
// Characters that turn the direction of text are made visible.
func plainText(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		c, n := utf8.DecodeRuneInString(text[i:])
		if c == '\x1b' {
			n = escapeLength(text[i:])
			if n > 2 && text[i+1] == '[' && text[i+n-1] == 'm' {
				out.WriteString(text[i : i+n])
			}
			i += n
			continue
		}
		switch {
		case c == '\t':
			out.WriteString("    ")
		case c == '\r', c == '\b':
			out.WriteRune(c)
		case c < ' ', c >= 0x7f && c < 0xa0: // the other control characters
		case c >= 0x202a && c <= 0x202e, c >= 0x2066 && c <= 0x2069, c == 0x2028, c == 0x2029:
			out.WriteRune(utf8.RuneError)
		default:
			out.WriteString(text[i : i+n])
		}
		i += n
	}
	return out.String()
}

// escapeLength is how many bytes the escape sequence takes with which text
// begins (ECMA-48, 5.4 and 5.6).
func escapeLength(text string) int {
	if len(text) < 2 {
		return len(text)
	}
	switch text[1] {
	case '[':
		for i := 2; i < len(text); i++ {
			if text[i] >= 0x40 && text[i] <= 0x7e {
				return i + 1
			}
			if text[i] < 0x20 || text[i] > 0x3f {
				return i
			}
		}
		return len(text)
	case ']', '_', 'P', '^', 'X':
		end := strings.IndexByte(text, '\a')
		if st := strings.Index(text, "\x1b\\"); st >= 0 && (end < 0 || st < end) {
			return st + 2
		}
		if end >= 0 {
			return end + 1
		}
		return len(text)
	}
	return 2
}

// trimEnd takes the line feed, and the carriage return before it, off a line.
func trimEnd(line []byte) []byte {
	return bytes.TrimRight(bytes.TrimSuffix(line, []byte("\n")), "\r")
}
