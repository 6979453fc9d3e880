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

// stored is the table in the file.
type stored struct {
	Seq  uint64            `json:"seq"`
	Apps []json.RawMessage `json:"apps"`
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
	body.WriteString("]}")
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

// readTable returns what the file holds; nothing if there is no file, which is
// how a data folder begins.
func readTable(path string) (seq uint64, entries []pipeline.Entry, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read the routing table: %w", err)
	}
	seq, entries, err = decodeTable(data)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %s: %w. Visitors would reach nothing with it, so the proxy does not start. "+
			"Restore the file from a backup; or move it away, start the proxy and the control plane, and redeploy each app",
			ErrDamaged, path, err)
	}
	return seq, entries, nil
}

func decodeTable(data []byte) (uint64, []pipeline.Entry, error) {
	var env envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return 0, nil, err
	}
	if env.Format > tableFormat {
		return 0, nil, fmt.Errorf("format %d was written by a newer version, this one knows %d", env.Format, tableFormat)
	}
	// Sealing it again finds every changed byte, also those that JSON ignores.
	if !bytes.Equal(seal(env.Table), data) {
		return 0, nil, errors.New("the checksum does not match")
	}
	var s stored
	if err := json.Unmarshal(env.Table, &s); err != nil {
		return 0, nil, err
	}
	entries := make([]pipeline.Entry, len(s.Apps))
	for i, raw := range s.Apps {
		if err := json.Unmarshal(raw, &entries[i]); err != nil {
			return 0, nil, err
		}
	}
	return s.Seq, entries, nil
}

func sortedApps(t *table) []string { return slices.Sorted(maps.Keys(t.apps)) }
