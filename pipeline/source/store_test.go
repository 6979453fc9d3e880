package source_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestStore_DamageIsFoundAndFetchedAnew(t *testing.T) {
	t.Parallel()
	eachPack := func(ext string, do func(path string) error) func(*bench) error {
		return func(b *bench) error {
			paths, err := filepath.Glob(filepath.Join(b.store(), "objects", "pack", "*."+ext))
			if len(paths) == 0 {
				err = errors.New("no pack")
			}
			for _, p := range paths {
				err = errors.Join(err, os.Chmod(p, 0o600), do(p))
			}
			return err
		}
	}
	for name, harm := range map[string]func(*bench) error{
		"pack gone":        eachPack("pack", os.Remove),
		"index gone":       eachPack("idx", os.Remove),
		"pack cut off":     eachPack("pack", func(p string) error { return os.Truncate(p, 40) }),
		"pack empty":       eachPack("pack", func(p string) error { return os.Truncate(p, 0) }),
		"index cut off":    eachPack("idx", func(p string) error { return os.Truncate(p, 1030) }),
		"index of nothing": eachPack("idx", func(p string) error { return os.WriteFile(p, make([]byte, 2000), 0o600) }),
		"pack and index gone": func(b *bench) error {
			return errors.Join(eachPack("pack", os.Remove)(b), eachPack("idx", os.Remove)(b))
		},
		"bytes changed": eachPack("pack", func(p string) error {
			raw, err := os.ReadFile(p)
			for i := 12; i < len(raw)-20; i++ {
				raw[i] ^= 0x55
			}
			return errors.Join(err, os.WriteFile(p, raw, 0o600))
		}),
		"objects gone": func(b *bench) error { return os.RemoveAll(filepath.Join(b.store(), "objects")) },
		"shallow":      func(b *bench) error { return os.WriteFile(filepath.Join(b.store(), "shallow"), nil, 0o600) },
		"bad ref": func(b *bench) error {
			return os.WriteFile(filepath.Join(b.store(), "refs", "swingbridge", "heads", "main"), []byte(strings.Repeat("1", 40)+"\n"), 0o600)
		},
		"no HEAD": func(b *bench) error { return os.Remove(filepath.Join(b.store(), "HEAD")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			first := b.push(map[string]string{"a": "1"})
			b.fetch(first)
			if err := harm(b); err != nil {
				t.Fatal(err)
			}
			second := b.push(map[string]string{"a": "2"})
			for _, sha := range []string{first, second} {
				if _, err := b.fetch(sha).ReadFile("a"); err != nil {
					t.Error(err)
				}
			}
			if is, err := b.src.Ancestor(t.Context(), repo, first, second); err != nil || !is {
				t.Errorf("Ancestor = %v, %v", is, err)
			}
			b.nothingOutside()
		})
	}
}

func TestStore_DamageFoundByAReaderIsHealedByTheNextFetch(t *testing.T) {
	b := setup(t)
	content := strings.Repeat("0123456789abcdef", 4000)
	sha := b.push(map[string]string{"a": content})
	tree := b.fetch(sha)
	packs, err := filepath.Glob(filepath.Join(b.store(), "objects", "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	raw, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := len(raw) - 60; i < len(raw)-24; i++ {
		raw[i] ^= 0xff
	}
	if err := errors.Join(os.Chmod(packs[0], 0o600), os.WriteFile(packs[0], raw, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, err := tree.ReadFile("a"); err == nil && string(got) == content {
		t.Fatal("the damage is not where it should be")
	}
	if got, err := b.fetch(sha).ReadFile("a"); err != nil || string(got) != content {
		t.Errorf("after the next fetch: %d bytes, %v", len(got), err)
	}
}

func TestStore_ManySmallPacksBecomeOne(t *testing.T) {
	b := setup(t)
	var shas []string
	for i := range 16 {
		shas = append(shas, b.push(map[string]string{fmt.Sprint("f", i): strings.Repeat(fmt.Sprint(i), 100)}))
		b.fetch(shas[i])
	}
	packs, err := filepath.Glob(filepath.Join(b.store(), "objects", "pack", "*.pack"))
	if err != nil || len(packs) >= 12 {
		t.Errorf("%d packs, %v", len(packs), err)
	}
	tree := b.fetch(shas[15])
	for i := range 16 {
		if got, err := tree.ReadFile(fmt.Sprint("f", i)); err != nil || string(got) != strings.Repeat(fmt.Sprint(i), 100) {
			t.Errorf("f%d = %q, %v", i, got, err)
		}
	}
	if is, err := b.src.Ancestor(t.Context(), repo, shas[0], shas[15]); err != nil || !is {
		t.Errorf("Ancestor = %v, %v", is, err)
	}
	if out, err := exec.Command("git", "--git-dir", b.store(), "fsck", "--full", "--strict").CombinedOutput(); err != nil {
		t.Errorf("git fsck: %v\n%s", err, out)
	}
}
