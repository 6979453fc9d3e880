package auth_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/server/auth"
)

const place = "env|app1|PASSWORD|3"

func key(b byte) []byte { return bytes.Repeat([]byte{b}, auth.KeySize) }

func sealer(t *testing.T, keys ...[]byte) *auth.Sealer {
	t.Helper()
	s, err := auth.NewSealer(keys[0], keys[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seal(t *testing.T, s *auth.Sealer, plain string) []byte {
	t.Helper()
	sealed, err := s.Seal([]byte(plain), place)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealer_OpensWhatItSealed(t *testing.T) {
	t.Parallel()
	s := sealer(t, key(1))
	for _, plain := range []string{"", "hunter2", strings.Repeat("x", 1<<20)} {
		sealed := seal(t, s, plain)
		if got, err := s.Open(sealed, place); string(got) != plain || err != nil {
			t.Errorf("%d bytes: %v", len(plain), err)
		}
		if plain != "" && (bytes.Contains(sealed, []byte(plain)) || bytes.Equal(sealed, seal(t, s, plain))) {
			t.Error("what is sealed tells of its content")
		}
	}
}

func TestSealer_AValueMovedToAnotherRowFails(t *testing.T) {
	t.Parallel()
	s := sealer(t, key(1))
	sealed := seal(t, s, "hunter2")
	for _, elsewhere := range []string{"", "env|app2|PASSWORD|3", "env|app1|OTHER|3", "env|app1|PASSWORD|4", place + "|"} {
		if _, err := s.Open(sealed, elsewhere); !errors.Is(err, auth.ErrSealed) {
			t.Errorf("at %q: %v", elsewhere, err)
		}
	}
}

func TestSealer_NoSingleBitMayFlip(t *testing.T) {
	t.Parallel()
	s := sealer(t, key(1), key(2))
	sealed := seal(t, s, "hunter2")
	for i := range len(sealed) * 8 {
		sealed[i/8] ^= 1 << (i % 8)
		if _, err := s.Open(sealed, place); !errors.Is(err, auth.ErrSealed) && !errors.Is(err, auth.ErrUnknownKey) {
			t.Errorf("bit %d: %v", i, err)
		}
		sealed[i/8] ^= 1 << (i % 8)
	}
	for n := range sealed {
		if _, err := s.Open(sealed[:n], place); !errors.Is(err, auth.ErrSealed) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestSealer_KnowsOldKeysAndNamesUnknownOnes(t *testing.T) {
	t.Parallel()
	sealed := seal(t, sealer(t, key(1)), "hunter2")
	rotated := sealer(t, key(2), key(1))
	if got, err := rotated.Open(sealed, place); string(got) != "hunter2" || err != nil {
		t.Errorf("with the old key: %q %v", got, err)
	}
	fresh := seal(t, rotated, "hunter3")
	if _, err := sealer(t, key(1)).Open(fresh, place); !errors.Is(err, auth.ErrUnknownKey) {
		t.Errorf("sealed with the old key still: %v", err)
	}
	_, err := sealer(t, key(3)).Open(sealed, place)
	if !errors.Is(err, auth.ErrUnknownKey) || !strings.Contains(err.Error(), sealer(t, key(1)).KeyID()) {
		t.Errorf("unknown key: %v", err)
	}
	if _, err := new(auth.Sealer).Seal(nil, place); err == nil {
		t.Error("a sealer without a key seals")
	}
}

func TestLoadKey_MakesItOnceAndKeepsIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := auth.LoadKey(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := auth.LoadKey(dir, nil)
	if err != nil || first.KeyID() != second.KeyID() {
		t.Errorf("%v: another key at the second start", err)
	}
	info, err := os.Stat(filepath.Join(dir, auth.KeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files left", len(files))
	}
	other, err := auth.LoadKey(t.TempDir(), nil)
	if err != nil || other.KeyID() == first.KeyID() {
		t.Errorf("%v: two installations share a key", err)
	}
}

func TestLoadKey_RefusesWhatIsNoKeyAndDoesNotShowIt(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString(key(7))
	for name, text := range map[string]string{
		"nothing": "\n", "too short": good[:20], "not base64": "!!" + good, "one byte less": base64.StdEncoding.EncodeToString(key(7)[1:]),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, auth.KeyFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, file := auth.LoadKey(dir, nil)
		_, explicit := auth.LoadKey(t.TempDir(), []byte(text))
		for _, err := range []error{file, explicit} {
			if err == nil || strings.Contains(err.Error(), good[:15]) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, auth.KeyFile), []byte(good), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.LoadKey(dir, nil); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a key that others may read: %v", err)
	}
}

func TestLoadKey_TheSettingsGoFirstAndMayHoldOldKeys(t *testing.T) {
	t.Parallel()
	text := base64.StdEncoding.EncodeToString(key(2)) + "\n" + base64.RawStdEncoding.EncodeToString(key(1)) + "\n"
	dir := t.TempDir()
	s, err := auth.LoadKey(dir, []byte(text))
	if err != nil || s.KeyID() != sealer(t, key(2)).KeyID() {
		t.Fatal(err)
	}
	if got, err := s.Open(seal(t, sealer(t, key(1)), "old"), place); string(got) != "old" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Error("a key file was made all the same")
	}
}
