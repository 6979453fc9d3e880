package webhook

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// members says what is read of a JSON object: for each member, by its name,
// where its value goes. That is a *string, an *int64, a *bool, or the members
// of the object that it is. Names are matched exactly, where encoding/json
// would take "REF" for "ref".
type members map[string]any

// readObject reads a body that is one JSON object and nothing else, in one
// pass. A value of another type than asked for is skipped, like members that
// nobody asked for. As with encoding/json, a member may be there twice, the
// last one counts, and bytes that are no UTF-8 become U+FFFD.
func readObject(body []byte, m members) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(body), // a Buffer is read in place
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != jsontext.KindBeginObject {
		return errNotObject
	}
	if err := m.read(d); err != nil {
		return errNotObject
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errNotObject
	}
	return nil
}

// read reads the object that comes next.
func (m members) read(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != jsontext.KindEndObject {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := take(d, m[name.String()]); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// take reads the value that comes next, of whatever type, into what members
// allow; nil skips it.
func take(d *jsontext.Decoder, to any) error {
	zero(to)
	kind := d.PeekKind()
	switch to := to.(type) {
	case *string:
		if kind == jsontext.KindString {
			token, err := d.ReadToken()
			*to = token.String()
			return err
		}
	case *int64:
		if kind == jsontext.KindNumber {
			token, err := d.ReadToken()
			if n, bad := strconv.ParseInt(token.String(), 10, 64); bad == nil { // 1.0 and 1e3 are bad
				*to = n
			}
			return err
		}
	case *bool:
		*to = kind == jsontext.KindTrue
	case members:
		if kind == jsontext.KindBeginObject {
			return to.read(d)
		}
	}
	return d.SkipValue()
}

// zero forgets what an earlier member of the same name said.
func zero(to any) {
	switch to := to.(type) {
	case *string:
		*to = ""
	case *int64:
		*to = 0
	case *bool:
		*to = false
	case members:
		for _, inner := range to {
			zero(inner)
		}
	}
}
