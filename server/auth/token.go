package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// NewToken returns a token of 256 random bits. The prefix lets scanners of
// leaked secrets know it.
func NewToken() string {
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		panic(err) // crypto/rand.Read never fails since Go 1.24
	}
	return "swb_" + base64.RawURLEncoding.EncodeToString(raw[:])
}

// HashToken is what is kept of a token. A slow hash would add nothing: there is
// no guessing 256 bits.
func HashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// same compares in constant time, whatever the lengths; an empty want is never
// met.
func same(got string, wantHash []byte) bool {
	return len(wantHash) > 0 && subtle.ConstantTimeCompare(HashToken(got), wantHash) == 1
}
