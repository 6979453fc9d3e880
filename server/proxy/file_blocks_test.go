package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/swingbridge/swingbridge/pipeline"
)

// block is what a disk writes at once.
const block = 512

// manyApps is the table file of 100 apps, some with modes and previews.
func manyApps(t *testing.T) (data []byte, want Table) {
	t.Helper()
	p := opened(t, t.TempDir())
	p.save = func(*table) error { return nil }
	for i := range 100 {
		e := entryOf(fmt.Sprint("app", i), fmt.Sprintf("h%d.example", i))
		e.Deployment = fmt.Sprint("d", i)
		e.Paths[0].Targets = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 8000)}
		if i%10 == 0 {
			e.Preview = &pipeline.Preview{Deployment: fmt.Sprint("p", i), Host: fmt.Sprintf("p%d.example", i), Paths: e.Paths}
		}
		swing(t, p, e)
		if i%20 == 0 {
			m := pipeline.Mode{Kind: pipeline.ModeMaintenance, Page: "<p>later", Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
			if err := p.SetMode(t.Context(), e.AppID, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	want, _ = p.Table(t.Context())
	return encodeTable(p.table.Load()), want
}

func TestTableFile_EveryTornWriteIsTheWholeTableOrARefusal(t *testing.T) {
	t.Parallel()
	data, want := manyApps(t)
	if len(data) < 20*block {
		t.Fatalf("%d bytes are too few for this test", len(data))
	}
	dir := ownedFolder(t)
	check := func(what string, content []byte, whole bool) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, ownFolder, tableFile), content, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := New(Options{HTTP: "127.0.0.1:0", DataDir: dir})
		if err != nil {
			if whole || !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
		got, _ := p.Table(t.Context())
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("%s: starts with something else: %s", what, diff)
		}
		if !whole {
			t.Errorf("%s: starts", what)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	check("as it was written", data, true)
	zeros := make([]byte, block)
	for at := 0; at < len(data); at += block {
		check(fmt.Sprint("cut at ", at), data[:at], false)
		flipped := append([]byte(nil), data...)
		flipped[at+(at/block*37)%min(block, len(data)-at)] ^= 0x20
		check(fmt.Sprint("a byte flipped in block ", at/block), flipped, false)
		lost := append([]byte(nil), data...)
		copy(lost[at:], zeros)
		check(fmt.Sprint("zeros in block ", at/block), lost, false)
	}
}

// The file as it was written before there were modes and previews.
const oldFile = `{"format":1,"sha256":"%s","table":{"seq":7,"apps":[` +
	`{"app_id":"1","app":"shop","deployment":"d1","commit":"c0ffee","color":"blue","version":7,` +
	`"paths":[{"host":"shop.example","prefix":"/","targets":["10.0.0.2:8000"]}]}]}}` + "\n"

func TestTableFile_OfAnEarlierVersionIsRead(t *testing.T) {
	t.Parallel()
	dir := ownedFolder(t)
	content := fmt.Sprintf(oldFile, "d7024e3436df02587ca9f4a7f8e85eb84a2361c8dd7e51b1738330bb07edeeaa")
	if err := os.WriteFile(filepath.Join(dir, ownFolder, tableFile), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p := opened(t, dir)
	got, _ := p.Table(t.Context())
	if got.Seq != 7 || len(got.Entries) != 1 || got.Entries[0].Deployment != "d1" || len(got.Modes) != 0 {
		t.Errorf("table: %+v", got)
	}
	if again := encodeTable(p.table.Load()); string(again) != content {
		t.Errorf("without modes the file is as the earlier version reads it, but: %s", again)
	}
}

// ownedFolder is a data folder with the proxy's own, still empty.
func ownedFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ownFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
