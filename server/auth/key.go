package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeyFile is the name of the key's file in the data folder.
const KeyFile = "secret.key"

// LoadKey returns the Sealer of the explicit key, or else of the file
// secret.key in dataDir, which is made with mode 0600 if it is not there. A key
// is 32 bytes in base64. Further ones, each on a line or after a space, are
// old keys: nothing is sealed with them any more, but what was still opens.
func LoadKey(dataDir string, explicit []byte) (*Sealer, error) {
	if len(explicit) > 0 {
		s, err := parseKeys(explicit)
		if err != nil {
			return nil, fmt.Errorf("the secret key of the settings: %w", err)
		}
		return s, nil
	}
	path := filepath.Join(dataDir, KeyFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(dataDir, path); err != nil {
			return nil, fmt.Errorf("make %s: %w", path, err)
		}
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret key: %w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return nil, fmt.Errorf("%s is open to others (mode %04o): make it 0600", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the secret key: %w", err)
	}
	s, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: restore it from where you keep it; what was sealed with it opens with nothing else", path, err)
	}
	return s, nil
}

func parseKeys(text []byte) (*Sealer, error) {
	var keys [][]byte
	for i, field := range strings.Fields(string(text)) {
		key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(field, "="))
		if err != nil {
			return nil, fmt.Errorf("key %d is not base64", i+1) // its text stays out of the error
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return NewSealer(keys[0], keys[1:]...)
}

// makeKey writes a new key so that a crash leaves all of it or nothing.
func makeKey(dataDir, path string) (err error) {
	key := make([]byte, KeySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dataDir, KeyFile+".*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dataDir)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
