package source_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline/source"
)

func pack(objects ...[]byte) []byte {
	var b bytes.Buffer
	b.WriteString("PACK")
	_ = binary.Write(&b, binary.BigEndian, [2]uint32{2, uint32(len(objects))})
	for _, o := range objects {
		b.Write(o)
	}
	sum := sha1.Sum(b.Bytes())
	return append(b.Bytes(), sum[:]...)
}

func record(kind byte, size uint64, ref, content []byte) []byte {
	var b bytes.Buffer
	c := kind<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		b.WriteByte(c | 0x80)
		c = byte(size & 0x7f)
	}
	b.WriteByte(c)
	b.Write(ref)
	z := zlib.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	return b.Bytes()
}

func TestHostile_PacksThatUnpackToMuchAreRefused(t *testing.T) {
	t.Parallel()
	const blob, refDelta = 3, 7
	base := record(blob, 1, nil, []byte("x"))
	name := sha1.Sum([]byte("blob 1\x00x"))
	delta := append(binary.AppendUvarint([]byte{1}, 5<<30), 0x91, 0, 1)
	many := pack(base)
	binary.BigEndian.PutUint32(many[8:], 1<<31)
	for what, p := range map[string][]byte{
		"an object":             pack(record(blob, 5<<30, nil, make([]byte, 1<<20))),
		"what a delta makes":    pack(base, record(refDelta, uint64(len(delta)), name[:], delta)),
		"the number of objects": many,
	} {
		t.Run(what, func(t *testing.T) {
			b := setup(t)
			sha := b.push(map[string]string{"a": "1"})
			b.forge.Intercept(answer("0008NAK\n" + string(p)))
			if _, err := b.src.Fetch(t.Context(), repo, "main", sha); !errors.Is(err, source.ErrTooLarge) {
				t.Errorf("Fetch: %v", err)
			}
			b.forge.Intercept(nil)
			b.fetch(sha) // and nothing is left of it
			b.nothingOutside()
		})
	}
}

func TestHostile_AnswerLongerThanAllowedIsCutOff(t *testing.T) {
	b := setupWith(t, source.Options{Limits: source.Limits{Pack: 50_000}})
	small := b.push(map[string]string{"a": "1"})
	b.fetch(small)
	var words bytes.Buffer
	for i := range 30_000 {
		sum := sha1.Sum(binary.AppendUvarint(nil, uint64(i)))
		words.Write(sum[:])
	}
	large := b.push(map[string]string{"a": words.String()})
	if _, err := b.src.Fetch(t.Context(), repo, "main", large); !errors.Is(err, source.ErrTooLarge) {
		t.Errorf("Fetch: %v", err)
	}
	if _, err := b.src.Ancestor(t.Context(), repo, small, small); err != nil {
		t.Errorf("the store has suffered: %v", err)
	}
}

func answer(body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		asked := new(bytes.Buffer)
		_, _ = asked.ReadFrom(r.Body)
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		if !strings.Contains(asked.String(), "side-band-64k") {
			_, _ = w.Write([]byte(body))
			return true
		}
		head, rest := body[:8], body[8:]
		_, _ = w.Write([]byte(head))
		for len(rest) > 0 {
			n := min(len(rest), 60_000)
			fmt.Fprintf(w, "%04x\x01%s", n+5, rest[:n])
			rest = rest[n:]
		}
		_, _ = w.Write([]byte("0000"))
		return true
	}
}
