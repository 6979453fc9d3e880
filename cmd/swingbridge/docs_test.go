package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline"
)

//nolint:gochecknoglobals // a flag of go test
var updateDocs = flag.Bool("update", false, "write the golden parts of the documents anew")

const top = "../.."

func TestDocs_StatesGolden(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- drawn from pipeline/state.go -->\n", "<!-- end -->\n"
	file := filepath.Join(top, "docs", "states.md")
	text := document(t, file)
	before, rest, ok := strings.Cut(text, begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the picture", file)
	}
	want := picture()
	if *updateDocs {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("the picture is not of this table (-want +got); go test ./cmd/swingbridge -run Golden -update draws it anew:\n%s", diff)
	}
}

// picture draws the table of states as Mermaid.
func picture() string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> queued\n")
	for _, from := range pipeline.States() {
		for _, to := range from.Next() {
			fmt.Fprintf(&b, "    %s --> %s\n", from, to)
		}
		if len(from.Next()) == 0 {
			fmt.Fprintf(&b, "    %s --> [*]\n", from)
		}
	}
	b.WriteString("```\n")
	return b.String()
}

func TestDocs_NameEverySettingAndNoOther(t *testing.T) {
	t.Parallel()
	params, err := env.GetFieldParams(&Config{})
	if err != nil {
		t.Fatal(err)
	}
	table := document(t, filepath.Join(top, "docs", "operating.md"))
	known := map[string]bool{}
	for _, p := range params {
		known[p.Key] = true
		if !strings.Contains(table, "`"+p.Key+"`") {
			t.Errorf("docs/operating.md does not name %s", p.Key)
		}
	}
	for _, name := range secretNames() {
		known[name+"_FILE"] = true
	}
	for _, file := range append(documents(t), filepath.Join(top, "compose.yml")) {
		for _, name := range regexp.MustCompile(`\bSWINGBRIDGE_[A-Z_]*[A-Z]\b`).FindAllString(document(t, file), -1) {
			if !known[name] {
				t.Errorf("%s names %s, which is no setting", file, name)
			}
		}
	}
}

func TestDocs_NameEveryCodeOfTheWebhook(t *testing.T) {
	t.Parallel()
	text := document(t, filepath.Join(top, "docs", "webhook.md"))
	var codes []string
	for _, f := range syntax(t, "webhook") {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec: // the reasons
				if strings.HasPrefix(n.Names[0].Name, "Reason") && len(n.Values) == 1 {
					codes = append(codes, literal(n.Values[0]))
				}
			case *ast.KeyValueExpr: // of refusals
				if name, ok := n.Key.(*ast.Ident); ok && name.Name == "code" {
					codes = append(codes, literal(n.Value))
				}
			}
			return true
		})
	}
	if len(codes) < 20 {
		t.Fatalf("found only the codes %v", codes)
	}
	for _, code := range codes {
		if !strings.Contains(text, "`"+code+"`") {
			t.Errorf("docs/webhook.md does not name %s", code)
		}
	}
}

func TestDocs_NameEveryKeyOfComposeFiles(t *testing.T) {
	t.Parallel()
	text := document(t, filepath.Join(top, "docs", "compose.md"))
	keys := 0
	for _, f := range syntax(t, "pipeline/stack") {
		for _, d := range f.Decls {
			rules, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasSuffix(rules.Name.Name, "Rules") && !strings.HasSuffix(rules.Name.Name, "Extension") && rules.Name.Name != "refusedServiceKeys" {
				continue
			}
			ast.Inspect(rules, func(n ast.Node) bool {
				for _, key := range keysOf(n, rules.Name.Name) {
					if keys++; !strings.Contains(text, "`"+key+"`") {
						t.Errorf("docs/compose.md does not name %s of %s", key, rules.Name.Name)
					}
				}
				return true
			})
		}
	}
	if keys < 100 {
		t.Fatalf("found only %d keys", keys)
	}
}

// keysOf are the compose keys that a node of keys.go has: in most functions
// those of a map, in refusedServiceKeys the elements of its lists.
func keysOf(n ast.Node, function string) []string {
	list, ok := n.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	var out []string
	for _, e := range list.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok && function != "refusedServiceKeys" {
			e = kv.Key
		}
		if key := literal(e); key != "" {
			out = append(out, key)
		}
	}
	return out
}

func TestDocs_CommandsAndLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	root := (&program{}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	written := map[string]bool{"docs/figures.md": true} // by make bench
	commands := 0
	for _, file := range documents(t) {
		text := document(t, file)
		for _, m := range regexp.MustCompile("(?m)(?:^ *|[`|] ?|server /|bin/)swingbridge ([a-z][a-z -]*)").FindAllStringSubmatch(code(text), -1) {
			commands++
			if err := leads(root, strings.Fields(m[1])); err != nil {
				t.Errorf("%s: %s: %v", file, m[0], err)
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			path := filepath.Join(filepath.Dir(file), m[1])
			name, err := filepath.Rel(top, path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path); err != nil && !written[name] {
				t.Errorf("%s: the link to %s leads nowhere", file, m[1])
			}
		}
	}
	if commands < 20 {
		t.Errorf("found only %d commands", commands)
	}
	for _, wrong := range [][]string{{"fly"}, {"app", "fly"}, {"status", "--fly"}} {
		if leads(root, wrong) == nil {
			t.Errorf("%v is taken for a command", wrong)
		}
	}
}

// leads says whether words begin with a command and have only its flags.
func leads(root *cobra.Command, words []string) error {
	c, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if c == root || c.HasSubCommands() && len(rest) > 0 {
		return fmt.Errorf("no command %v", words)
	}
	for _, word := range rest {
		name := strings.TrimLeft(word, "-")
		if name != "" && word != name && c.Flag(name) == nil && c.Flags().ShorthandLookup(name[:1]) == nil {
			return fmt.Errorf("no flag %s", word)
		}
	}
	return nil
}

// code is what a document shows as code.
func code(text string) string {
	return strings.Join(regexp.MustCompile("(?s)```.*?```|`[^`]*`").FindAllString(text, -1), "\n")
}

// documents are the texts that people read.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{filepath.Join(top, "README.md")}
	err := filepath.WalkDir(filepath.Join(top, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 7 {
		t.Fatalf("found only %v", files)
	}
	return files
}

func document(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// syntax parses a package's files, but for its tests.
func syntax(t *testing.T, folder string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(top, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var out []*ast.File
	for _, path := range slices.DeleteFunc(paths, func(p string) bool { return strings.HasSuffix(p, "_test.go") }) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// literal is the text of a string literal, empty for anything else.
func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return text
}
