package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// scenario is a golden file's input: lines "route HOST SERVICE PORT", "env
// NAME=VALUE", "compose FILE…", "overlay FILE" and the files of the commit. In
// a single .yml these lines are comments at its top that begin with "#:".
type scenario struct {
	in    Input
	files map[string][]byte
}

func parseScenario(t testing.TB, name string, data []byte) scenario {
	t.Helper()
	s := scenario{files: map[string][]byte{}}
	var lines []string
	if strings.HasSuffix(name, ".txtar") {
		archive := txtar.Parse(data)
		lines = strings.Split(string(archive.Comment), "\n")
		for _, f := range archive.Files {
			s.files[f.Name] = f.Data
		}
	} else {
		s.files["compose.yml"], s.files["Dockerfile"] = data, nil
		lines = append(lines, "compose compose.yml")
		for line := range strings.Lines(string(data)) {
			if rest, ok := strings.CutPrefix(line, "#:"); ok {
				lines = append(lines, rest)
			}
		}
	}
	s.in = Input{App: "shop", Env: map[string]string{}, Read: s.read, Find: s.find}
	for _, line := range lines {
		s.directive(t, strings.Fields(line))
	}
	return s
}

func (s *scenario) directive(t testing.TB, words []string) {
	t.Helper()
	if len(words) == 0 {
		return
	}
	switch args := words[1:]; words[0] {
	case "route":
		port, err := strconv.Atoi(args[2])
		if err != nil {
			t.Fatal(err)
		}
		s.in.Routes = append(s.in.Routes, Route{Host: args[0], Service: args[1], Port: port})
	case "env":
		name, value, _ := strings.Cut(strings.Join(args, " "), "=")
		s.in.Env[name] = value
	case "compose":
		for _, f := range args {
			s.in.Files = append(s.in.Files, File{Path: f, Content: s.files[f]})
		}
	case "allow":
		s.in.Allowed = append(s.in.Allowed, strings.Join(args, " "))
	case "file":
		s.files[args[0]] = nil
	case "overlay":
		s.in.Overlay = string(s.files[args[0]])
		delete(s.files, args[0])
	default:
		t.Fatalf("unknown directive %q", words[0])
	}
}

func (s *scenario) read(path string) ([]byte, error) {
	if content, ok := s.files[path]; ok {
		return content, nil
	}
	return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
}

// find answers from the names of the files. A file whose name ends in .link
// stands for a symbolic link.
func (s *scenario) find(at string) (Found, error) {
	found := Found{Folder: true, Empty: true}
	there := false
	for name := range s.files {
		switch rest, below := strings.CutPrefix(name, at+"/"); {
		case name == at && strings.HasSuffix(name, ".link"):
			return Found{}, fmt.Errorf("%q is a symbolic link", name)
		case name == at:
			return Found{}, nil
		case below || at == ".":
			there = true
			found.Empty = found.Empty && rest == ".gitkeep"
		}
	}
	if !there {
		return Found{}, fs.ErrNotExist
	}
	return found, nil
}

// golden is what Load answered.
type golden struct {
	Stack   *Stack   `json:"stack,omitempty"`
	Refused []string `json:"refused,omitempty"`
}

func answer(t testing.TB, in Input) golden {
	t.Helper()
	got, err := Load(context.Background(), in)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return golden{Refused: refusal.lines()}
	case err != nil:
		t.Fatal(err)
	}
	return golden{Stack: &got}
}

func TestLoad_GoldenFiles(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"testdata/*.yml", "testdata/*.txtar", "testdata/samples/*.yml", "testdata/samples/*.txtar"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, name := range names {
			t.Run(strings.TrimPrefix(name, "testdata/"), func(t *testing.T) {
				t.Parallel()
				checkGolden(t, name)
			})
		}
	}
}

func checkGolden(t *testing.T, name string) {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := parseScenario(t, name, data)
	got := answer(t, s.in)
	file := strings.TrimSuffix(name, filepath.Ext(name)) + ".golden.json"
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(got); err != nil {
		t.Fatal(err)
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("differs from %s (-want +got); -update rewrites it:\n%s", file, diff)
	}
	again := answer(t, s.in)
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("a second Load answers something else:\n%s", diff)
	}
	if got.Stack != nil {
		roundTrip(t, *got.Stack)
	}
}

func roundTrip(t *testing.T, s Stack) {
	t.Helper()
	stored, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Stack
	if err := json.Unmarshal(stored, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back); diff != "" {
		t.Errorf("does not come back from JSON as it was:\n%s", diff)
	}
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	flag.Parse()
	os.Exit(m.Run())
}
