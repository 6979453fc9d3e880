package logs

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MinSecret is the shortest value that is masked, in bytes: shorter ones would
// mask half of every log.
const MinSecret = 6

const mask = "***"

// Forms lists the spellings in which a secret is looked for: as it is, each
// line of it, in base64 (alone, and inside of a longer text at any alignment),
// in hex, and escaped for URLs, JSON, Go and Python. Nil for a value that is
// too short.
func Forms(secret string) []string {
	var forms []string
	add := func(all ...string) {
		for _, f := range all {
			if len(f) >= MinSecret && !slices.Contains(forms, f) {
				forms = append(forms, f)
			}
		}
	}
	values := append([]string{secret, strings.TrimSpace(secret)}, strings.FieldsFunc(secret, isLineEnd)...)
	for _, v := range values {
		if len(v) < MinSecret || strings.TrimSpace(v) == "" {
			continue
		}
		add(v, url.QueryEscape(v), url.PathEscape(v), strings.ReplaceAll(url.QueryEscape(v), "+", "%20"))
		add(jsonForm(v, true), jsonForm(v, false), inner(strconv.Quote(v)), inner(strconv.QuoteToASCII(v)))
		add(hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))))
		add(base64Forms(v)...)
	}
	return forms
}

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' }

func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

func jsonForm(v string, html bool) string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(html)
	if enc.Encode(v) != nil {
		return ""
	}
	return inner(strings.TrimSuffix(out.String(), "\n"))
}

// base64Forms are the encodings of v alone, and of those of its bits that fill
// whole characters when 0, 1 or 2 bytes stand before it in what is encoded.
func base64Forms(v string) []string {
	var forms []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		alone := enc.EncodeToString([]byte(v))
		forms = append(forms, alone+strings.Repeat("=", (4-len(alone)%4)%4), alone)
		for before := range 3 {
			text := enc.EncodeToString(append(make([]byte, before), v...))
			from, to := (before*8+5)/6, (before+len(v))*8/6
			forms = append(forms, text[from:to])
		}
	}
	return forms
}

// masker replaces the forms of secrets in a stream.
type masker struct {
	forms   [256][]string // by first byte
	begins  [1024]uint64  // a bit for each two bytes that a form begins with: most of a log is passed over by it
	held    []byte        // the end of the stream that may be the beginning of a form
	covered int           // how many bytes of held a form that began before them covers
}

func newMasker(secrets []string) *masker {
	m := &masker{}
	for _, s := range secrets {
		for _, f := range Forms(s) {
			if same := m.forms[f[0]]; !slices.Contains(same, f) {
				m.forms[f[0]] = append(same, f)
				word, bit := pair(f[0], f[1])
				m.begins[word] |= bit
			}
		}
	}
	return m
}

// mask takes the next part of the stream and returns what can be shown of it
// and of what was held back.
func (m *masker) mask(p []byte) []byte {
	m.held = append(m.held, p...)
	return m.scan(false)
}

// flush returns what was held back: the stream is over. The beginning of a form
// that is as long as a secret is masked even so.
func (m *masker) flush() []byte { return m.scan(true) }

// scan finds forms at every position, also within other forms: where two
// overlap, what both cover is masked as one.
func (m *masker) scan(final bool) []byte {
	out := make([]byte, 0, len(m.held))
	i, end := 0, m.covered
	for ; i < len(m.held); i++ {
		length, partial := 0, 0
		if m.mayBegin(m.held[i:]) {
			length, partial = m.match(m.held[i:])
		}
		if partial > 0 && !final {
			break
		}
		if partial >= MinSecret {
			length = max(length, partial)
		}
		if length > 0 {
			if i >= end {
				out = append(out, mask...)
			}
			end = max(end, i+length)
		}
		if i >= end {
			out = append(out, m.held[i])
		}
	}
	m.covered = max(0, end-i)
	m.held = append(m.held[:0], m.held[i:]...)
	return out
}

func (m *masker) mayBegin(p []byte) bool {
	if len(p) < 2 {
		return true
	}
	word, bit := pair(p[0], p[1])
	return m.begins[word]&bit != 0
}

func pair(a, b byte) (word int, bit uint64) { return int(a)<<2 | int(b)>>6, 1 << (b & 63) }

// match returns how many bytes at the beginning of p are a form, and how many
// are all of p and could become one.
func (m *masker) match(p []byte) (length, partial int) {
	for _, f := range m.forms[p[0]] {
		switch {
		case len(f) <= len(p):
			if string(p[:len(f)]) == f {
				length = max(length, len(f))
			}
		case f[:len(p)] == string(p):
			partial = len(p)
		}
	}
	return length, partial
}
