package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ErrDamaged is wrapped where the table file cannot be trusted. The proxy does
// not start then: serving no routes would be worse than not starting, because
// it looks like success.
var ErrDamaged = errors.New("the routing table file is damaged")

// tableFormat grows when the file's meaning changes.
const tableFormat = 1

// envelope is the table file: one JSON object on one line.
type envelope struct {
	Format   int             `json:"format"`
	Checksum string          `json:"sha256"` // of Table, in hexadecimal
	Table    json.RawMessage `json:"table"`
}

// stored is the table in the file. A version that does not know modes reads
// the rest and serves every app, as it would without them.
type stored struct {
	Seq   uint64                   `json:"seq"`
	Apps  []pipeline.Entry         `json:"apps"`
	Modes map[string]pipeline.Mode `json:"modes"` // by app id; absent: all are served
}

// content is what a table file says.
type content struct {
	seq     uint64
	entries []pipeline.Entry
	modes   map[string]pipeline.Mode
}

// writeTable replaces the file so that, whatever happens, either the old or the
// new table is there in full. It is durable when it returns.
func writeTable(path string, t *table) error {
	data := encodeTable(t)
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// encodeTable joins what each entry was encoded to when it was made, so that a
// change costs the same with one app and with a thousand, but for the copy.
func encodeTable(t *table) []byte {
	var body bytes.Buffer
	fmt.Fprintf(&body, `{"seq":%d,"apps":[`, t.seq)
	for i, id := range sortedApps(t) {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(t.apps[id].encoded)
	}
	body.WriteByte(']')
	if modes := modesOf(t); len(modes) > 0 {
		raw, _ := json.Marshal(modes) // strings and times within range: it cannot fail
		body.WriteString(`,"modes":`)
		body.Write(raw)
	}
	body.WriteByte('}')
	return seal(body.Bytes())
}

// seal puts the body in its envelope, byte for byte as opened expects it.
func seal(body []byte) []byte {
	sum := sha256.Sum256(body)
	out := make([]byte, 0, len(body)+128)
	out = fmt.Appendf(out, `{"format":%d,"sha256":"%s","table":`, tableFormat, hex.EncodeToString(sum[:]))
	out = append(out, body...)
	return append(out, "}\n"...)
}

// modesOf are the modes other than to serve.
func modesOf(t *table) map[string]pipeline.Mode {
	out := map[string]pipeline.Mode{}
	for id, e := range t.apps {
		if e.mode.Kind != pipeline.ModeServe {
			out[id] = e.mode
		}
	}
	return out
}

// readTable returns what the file holds; nothing if there is no file, which is
// how a data folder begins.
func readTable(path string) (content, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return content{}, nil
	}
	if err != nil {
		return content{}, fmt.Errorf("read the routing table: %w", err)
	}
	c, err := decodeTable(data)
	if err != nil {
		return content{}, fmt.Errorf("%w: %s: %w. Visitors would reach nothing with it, so the proxy does not start. "+
			"Restore the file from a backup; or move it away, start the proxy and the control plane, and redeploy each app",
			ErrDamaged, path, err)
	}
	return c, nil
}

func decodeTable(data []byte) (content, error) {
	var env envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return content{}, err
	}
	if env.Format > tableFormat {
		return content{}, fmt.Errorf("format %d was written by a newer version, this one knows %d", env.Format, tableFormat)
	}
	// Sealing it again finds every changed byte, also those that JSON ignores.
	if !bytes.Equal(seal(env.Table), data) {
		return content{}, errors.New("the checksum does not match")
	}
	var s stored
	if err := json.Unmarshal(env.Table, &s); err != nil {
		return content{}, err
	}
	return content{seq: s.Seq, entries: s.Apps, modes: s.Modes}, nil
}

func sortedApps(t *table) []string { return slices.Sorted(maps.Keys(t.apps)) }
