package pipeline

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// NewID returns an identifier of 26 lower-case letters and digits that sorts by
// the time it was made: 48 bits of milliseconds, then 80 random bits, in the
// alphabet of the ULID specification (https://github.com/ulid/spec).
func NewID(now time.Time) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(now.UnixMilli())<<16)
	if _, err := rand.Read(raw[6:]); err != nil {
		panic(err) // crypto/rand.Read never fails since Go 1.24
	}
	enc := base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
	return strings.ToLower(enc.EncodeToString(raw[:]))
}

// Short is an id or a commit cut to what people read.
func Short(s string) string {
	if len(s) > 7 {
		return s[:7]
	}
	return s
}
