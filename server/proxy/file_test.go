package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/swingbridge/swingbridge/pipeline"
)

// folder makes a data folder with a table of several apps and returns the file.
func folder(t *testing.T) (dir string, data []byte, want []pipeline.Entry) {
	t.Helper()
	dir = t.TempDir()
	p := opened(t, dir)
	b := newBackend(t, "d1")
	for i := range 5 {
		swing(t, p, entryOf(fmt.Sprint("app", i), fmt.Sprintf("h%d.example", i), b))
	}
	if err := p.Drop(t.Context(), "id-app3"); err != nil {
		t.Fatal(err)
	}
	want = entries(p)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, ownFolder, tableFile))
	if err != nil {
		t.Fatal(err)
	}
	return dir, data, want
}

func entries(p *Proxy) []pipeline.Entry {
	t, _ := p.Table(context.Background())
	return t.Entries
}

func opened(t *testing.T, dir string) *Proxy {
	t.Helper()
	p, err := New(Options{HTTP: "127.0.0.1:0", DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestTableFile_ComesBackAsItWas(t *testing.T) {
	t.Parallel()
	dir, data, want := folder(t)
	p := opened(t, dir)
	got := entries(p)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(want[0].Paths[0].Targets[0])); diff != "" {
		t.Error(diff)
	}
	if again := encodeTable(p.table.Load()); string(again) != string(data) {
		t.Error("what was read is not written in the same way")
	}
	if info, err := os.Stat(p.path(tableFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestTableFile_DamageIsRefusedNeverReadAsEmpty(t *testing.T) {
	t.Parallel()
	dir, data, _ := folder(t)
	refused := func(what string, damaged []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, ownFolder, tableFile), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := New(Options{HTTP: "127.0.0.1:0", DataDir: dir})
		if err == nil {
			_ = p.Close()
			t.Errorf("%s: starts with %d apps", what, len(p.table.Load().apps))
		} else if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "backup") || !strings.Contains(err.Error(), tableFile) {
			t.Errorf("%s: %v does not say what to do", what, err)
		}
	}
	for n := 0; n < len(data); n += 64 {
		refused(fmt.Sprint("cut at ", n), data[:n])
	}
	refused("without its last byte", data[:len(data)-1])
	refused("with a byte too many", append(data[:len(data):len(data)], '\n'))
	flipped := func(n int, bit byte) []byte {
		damaged := append([]byte(nil), data...)
		damaged[n] ^= bit
		return damaged
	}
	refused("with a byte flipped", flipped(len(data)/2, 0x01))
	for n := range data {
		for bit := byte(1); bit != 0; bit <<= 1 {
			if _, err := decodeTable(flipped(n, bit)); err == nil {
				t.Errorf("bit %#x of byte %d flipped: read as if nothing were wrong", bit, n)
			}
		}
	}
	newer := strings.Replace(string(data), `"format":1`, `"format":2`, 1)
	refused("of a newer format", []byte(newer))
}

func TestTableFile_WhatCannotBeWrittenDoesNotHappen(t *testing.T) {
	t.Parallel()
	p := opened(t, t.TempDir())
	d1, d2 := newBackend(t, "d1"), newBackend(t, "d2")
	first := swing(t, p, entryOf("a", "a.example", d1))
	full, write, calls := errors.New("no space left on device"), p.save, 0
	p.save = func(next *table) error {
		if calls++; calls > 1 {
			return write(next)
		}
		return errors.Join(full, write(next)) // replaced, but who knows whether durable
	}
	if _, err := p.Swing(t.Context(), entryOf("a", "a.example", d2), first.Version); !errors.Is(err, full) {
		t.Fatalf("swing: %v", err)
	}
	e, err := p.Entry(t.Context(), "id-a")
	if err != nil || e.Deployment != "d1" || e.Version != first.Version {
		t.Errorf("in memory: %+v %v", e, err)
	}
	dir := p.o.DataDir
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if e, _ := opened(t, dir).Entry(t.Context(), "id-a"); e.Deployment != "d1" {
		t.Errorf("after a restart: %+v", e)
	}
}

func TestLock_SecondProxyOnAFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := opened(t, dir)
	_, err := New(Options{HTTP: "127.0.0.1:0", DataDir: dir})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second proxy: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	opened(t, dir)
}

func TestTableFile_MovesInFromWhereItWasBefore(t *testing.T) {
	t.Parallel()
	dir, data, want := folder(t)
	old, place := filepath.Join(dir, tableFile), filepath.Join(dir, ownFolder, tableFile)
	if err := os.Rename(place, old); err != nil {
		t.Fatal(err)
	}
	earlier, err := takeLock(filepath.Join(dir, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{HTTP: "127.0.0.1:0", DataDir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("beside a proxy of an earlier version: %v", err)
	}
	if err := earlier.Close(); err != nil {
		t.Fatal(err)
	}
	p := opened(t, dir)
	if got := entries(p); len(got) != len(want) {
		t.Errorf("%d entries moved in, want %d", len(got), len(want))
	}
	if !absent(old) || !absent(filepath.Join(dir, lockFile)) {
		t.Error("the earlier files are still there")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{HTTP: "127.0.0.1:0", DataDir: dir}); err == nil || !strings.Contains(err.Error(), "two routing tables") {
		t.Errorf("with two tables: %v", err)
	}
}
