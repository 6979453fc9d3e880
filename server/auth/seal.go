package auth

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Errors of a Sealer.
var (
	// ErrUnknownKey says that something was sealed with a key that is not
	// among the known ones.
	ErrUnknownKey = errors.New("sealed with a key that is not known here")
	// ErrSealed says that something sealed was changed, or moved from the
	// place it was sealed for.
	ErrSealed = errors.New("the sealed value is damaged or belongs elsewhere")
)

const (
	// KeySize is the length of a key in bytes.
	KeySize = 32

	sealVersion = 1
	keyIDSize   = 8
	headerSize  = 1 + keyIDSize
)

// Sealer encrypts values with AES-256-GCM. What it writes is a version byte,
// the id of the key, a random nonce and the ciphertext; header and place are
// authenticated with it.
type Sealer struct {
	current [keyIDSize]byte
	keys    map[[keyIDSize]byte]cipher.AEAD
}

// NewSealer seals with current and opens what was sealed with any of the keys.
func NewSealer(current []byte, old ...[]byte) (*Sealer, error) {
	s := &Sealer{keys: map[[keyIDSize]byte]cipher.AEAD{}}
	for i, key := range append([][]byte{current}, old...) {
		id, aead, err := derive(key)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			s.current = id
		}
		s.keys[id] = aead
	}
	return s, nil
}

// derive makes sub-keys, so that the key's id tells nothing of what encrypts.
func derive(key []byte) (id [keyIDSize]byte, aead cipher.AEAD, err error) {
	if len(key) != KeySize {
		return id, nil, fmt.Errorf("secret key: %d bytes, want %d", len(key), KeySize)
	}
	name, err := hkdf.Key(sha256.New, key, nil, "swingbridge key id 1", keyIDSize)
	if err != nil {
		return id, nil, fmt.Errorf("secret key: %w", err)
	}
	sub, err := hkdf.Key(sha256.New, key, nil, "swingbridge seal 1", KeySize)
	if err != nil {
		return id, nil, fmt.Errorf("secret key: %w", err)
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		return id, nil, fmt.Errorf("secret key: %w", err)
	}
	aead, err = cipher.NewGCMWithRandomNonce(block)
	return [keyIDSize]byte(name), aead, err
}

// Seal encrypts plain for the place that aad names, for example
// "env|APP|NAME|VERSION": it opens nowhere else.
func (s *Sealer) Seal(plain []byte, aad string) ([]byte, error) {
	aead, ok := s.keys[s.current]
	if !ok {
		return nil, fmt.Errorf("seal: %w", ErrUnknownKey)
	}
	header := append([]byte{sealVersion}, s.current[:]...)
	return aead.Seal(bytes.Clone(header), nil, plain, bound(header, aad)), nil
}

// Open decrypts what Seal made for the same place. ErrUnknownKey and ErrSealed
// are wrapped.
func (s *Sealer) Open(sealed []byte, aad string) ([]byte, error) {
	if len(sealed) < headerSize {
		return nil, fmt.Errorf("open: %w", ErrSealed)
	}
	if sealed[0] != sealVersion {
		return nil, fmt.Errorf("open: version %d: %w", sealed[0], ErrSealed)
	}
	header, rest := sealed[:headerSize], sealed[headerSize:]
	aead, ok := s.keys[[keyIDSize]byte(header[1:])]
	if !ok {
		return nil, fmt.Errorf("open: key %s: %w", hex.EncodeToString(header[1:]), ErrUnknownKey)
	}
	plain, err := aead.Open(nil, nil, rest, bound(header, aad))
	if err != nil {
		return nil, fmt.Errorf("open: %w", ErrSealed)
	}
	return plain, nil
}

// KeyID names the key that Seal uses, in hex. It says nothing about the key.
func (s *Sealer) KeyID() string { return hex.EncodeToString(s.current[:]) }

func bound(header []byte, aad string) []byte { return append(bytes.Clone(header), aad...) }
