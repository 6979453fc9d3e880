package pipeline_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

func heldIn(t *testing.T, files map[string]string, held map[string][]byte) (pipeline.Tree, error) {
	t.Helper()
	w := pipelinetest.New()
	tree, err := w.Forge().Fetch(t.Context(), "", "", w.Forge().Push("main", files))
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.WithHeld(t.Context(), tree, held)
}

// hashAndFiles walks a tree.
func hashAndFiles(t *testing.T, tree pipeline.Tree, at string) (hash string, files []string) {
	t.Helper()
	err := tree.Walk(t.Context(), at, func(e pipeline.TreeEntry) error {
		if e.Path == "." {
			hash = e.Hash
		}
		if e.Open == nil {
			files = append(files, e.Path+"/")
			return nil
		}
		r, err := e.Open()
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		files = append(files, e.Path+"="+string(content))
		return errors.Join(err, r.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	return hash, files
}

func TestHeld_FilesOfTheServerAreReadAndWalkedWithTheCommits(t *testing.T) {
	t.Parallel()
	commit := map[string]string{"Dockerfile": "FROM scratch", "config/app.yml": "a"}
	plain, err := heldIn(t, commit, nil)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := heldIn(t, commit, map[string][]byte{".env.local": []byte("A=1"), "config/deep/production.yml": []byte("b"), "only/here": []byte("c")})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := tree.ReadFile("./config/deep/../deep/production.yml"); string(b) != "b" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	if b, err := tree.ReadFile("config/app.yml"); string(b) != "a" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	for at, want := range map[string][]string{
		"config": {"./", "app.yml=a", "deep/", "deep/production.yml=b"}, "only": {"./", "here=c"}, "only/here": {".=c"}, ".env.local": {".=A=1"},
		".": {"./", "Dockerfile=FROM scratch", "config/", "config/app.yml=a", "version.txt=" + tree.Commit().SHA, ".env.local=A=1", "config/deep/", "config/deep/production.yml=b", "only/", "only/here=c"},
	} {
		if _, files := hashAndFiles(t, tree, at); !slices.Equal(files, want) {
			t.Errorf("%s has %q, want %q", at, files, want)
		}
	}
	first, _ := hashAndFiles(t, tree, "config")
	without, _ := hashAndFiles(t, plain, "config")
	changed, err := heldIn(t, commit, map[string][]byte{"config/deep/production.yml": []byte("B")})
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := hashAndFiles(t, changed, "config"); first == second || first == without {
		t.Errorf("hashes %s, %s, without %s", first, second, without)
	}
	if had, _ := plain.Hash("."); had == "" {
		t.Error("no hash")
	} else if has, _ := tree.Hash("."); has != had {
		t.Error("what the server holds is part of images")
	}
}

func TestHeld_WhatTheCommitHasTooIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"config/app.yml", "config"} {
		_, err := heldIn(t, map[string]string{"config/app.yml": "a"}, map[string][]byte{name: nil})
		if !errors.Is(err, pipeline.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeld_PathsStayInTheRepository(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", "/etc/x", "../x", "a/../b", "a//b", "a/", "./a", `a\b`, "a\x00", ".git/config", "a/.GIT/x", "a\nb", strings.Repeat("n", 256)} {
		if err := pipeline.CheckHeldPath(name); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{".env.local", "config/production.yml", "a b/ü"} {
		if err := pipeline.CheckHeldPath(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestHeld_ADeploymentPlacesThemAndTheirValuesAreMasked(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Ledger().SetOverlay("services: {web: {env_file: [.env.local], volumes: ['./conf:/conf:ro'], environment: {A: b}}}")
		w.Ledger().SetFiles(map[string][]byte{".env.local": []byte("# note=x\nKEY='hunter2hunter2'\n"), "conf/secret.yml": []byte("x")})
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		d = wantState(t, w, d.ID, pipeline.Live)
		rel, err := w.Ledger().Release(t.Context(), d.ReleaseID)
		if err != nil {
			t.Fatal(err)
		}
		web := rel.Stack.Services[0]
		if web.Env["KEY"] != "hunter2hunter2" || web.Mounts[0].Bind.Repo != "conf" || !slices.Equal(w.Folders().Placed(), []string{web.Mounts[0].Bind.Placed}) {
			t.Errorf("%+v, placed %q", web, w.Folders().Placed())
		}
		if masked := w.Ledger().Masked(d.ID); !slices.Contains(masked, "hunter2hunter2") {
			t.Errorf("masked: %q", masked)
		}
		d = deploy(t, w, w.Forge().Push("main", map[string]string{"Dockerfile": "FROM scratch", ".env.local": "KEY=x"}), pipeline.Push)
		if d = wantState(t, w, d.ID, pipeline.Failed); !strings.Contains(d.Reason, "both the commit and the server have it") {
			t.Errorf("reason: %s", d.Reason)
		}
	})
}
