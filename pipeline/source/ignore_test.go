package source_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline/source"
	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

func TestContext_DockerignoreIsApplied(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"Dockerfile": "FROM scratch", "README.md": "", "docs/index.md": "", "docs/api/a.md": "", "docs/api/b.txt": "",
		"src/main.go": "", "src/main_test.go": "", "src/deep/keep.me": "", "src/deep/no.me": "", "node_modules/x/index.js": "",
		"docker/web.Dockerfile": "FROM scratch", "docker/web.sh": "",
	}
	for name, c := range map[string]struct {
		ignore string // .dockerignore
		own    string // docker/web.Dockerfile.dockerignore
		build  stack.Build
		want   []string
	}{
		"a folder": {
			ignore: "node_modules\ndocs\nsrc\ndocker\n",
			want:   []string{".dockerignore", "Dockerfile", "README.md"},
		},
		"comments, globs and exceptions": {
			ignore: "# all\n*\n!src/**/*.go\n**/*_test.go\n!src/deep/keep.me\n",
			want:   []string{".dockerignore", "Dockerfile", "src/deep/keep.me", "src/main.go"},
		},
		"an exception with wildcards reaches into ignored folders": {
			ignore: "**\n!**/*.md\n",
			want:   []string{".dockerignore", "Dockerfile", "README.md", "docs/api/a.md", "docs/index.md"},
		},
		"an exception in an ignored folder, and one after it": {
			ignore: "docs\n!docs/api\ndocs/api/b.txt\nsrc\nnode_modules\ndocker\n",
			want:   []string{".dockerignore", "Dockerfile", "README.md", "docs/api/a.md"},
		},
		"the Dockerfile is kept in an ignored folder, its own file wins": {
			ignore: "README.md\n", own: "*\n!README.md\n",
			build: stack.Build{Dockerfile: "docker/web.Dockerfile"},
			want:  []string{".dockerignore", "README.md", "docker/web.Dockerfile", "docker/web.Dockerfile.dockerignore"},
		},
		"everything": {
			ignore: "*",
			want:   []string{".dockerignore", "Dockerfile"},
		},
		"a folder of its own": {
			ignore: "*", build: stack.Build{Context: "docker", Dockerfile: "web.Dockerfile"},
			want: []string{"web.Dockerfile", "web.sh"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			all := text(files)
			all[".dockerignore"] = gitserver.File{Content: c.ignore}
			if c.own != "" {
				all["docker/web.Dockerfile.dockerignore"] = gitserver.File{Content: c.own}
			}
			got := stream(t, b.put(all), c.build)
			if diff := cmp.Diff(c.want, names(got)); diff != "" {
				t.Error(diff)
			}
			for name := range got {
				for i := range name[:len(name)-1] {
					if name[i] == '/' && got[name[:i+1]].Mode != 0o755 {
						t.Errorf("%s is there, its folder %s is not", name, name[:i+1])
					}
				}
			}
		})
	}
}

func TestContext_WrongBuildsAreRefusedAtOnce(t *testing.T) {
	b := setup(t)
	tree := b.put(map[string]gitserver.File{
		"Dockerfile": {Content: "FROM scratch"}, "sub/x": {}, "sub/link": {Content: "..", Link: true}, "bad/Dockerfile": {},
		"bad/.dockerignore": {Content: "../Dockerfile", Link: true}, "worse/Dockerfile": {}, "worse/.dockerignore": {Content: "[a\n"},
	})
	for _, c := range []struct {
		build  stack.Build
		says   string
		absent bool
	}{
		{stack.Build{Context: "sub"}, "Dockerfile", true},
		{stack.Build{Context: "none"}, "none", true},
		{stack.Build{Context: "sub", Dockerfile: "../Dockerfile"}, "outside of the build context", false},
		{stack.Build{Dockerfile: "/Dockerfile"}, "outside of the build context", false},
		{stack.Build{Dockerfile: "sub"}, "is a folder", false},
		{stack.Build{Context: ".."}, "not a path inside", false},
		{stack.Build{Context: "/etc"}, "not a path inside", false},
		{stack.Build{Context: "Dockerfile"}, "is a file", false},
		{stack.Build{Context: "sub/link"}, "is a symbolic link", false},
		{stack.Build{Context: "sub/link/sub", Dockerfile: "x"}, "is a symbolic link", false},
		{stack.Build{Context: "bad"}, "bad/.dockerignore", false},
		{stack.Build{Context: "worse"}, "worse/.dockerignore", false},
	} {
		r, err := tree.Context(t.Context(), c.build)
		if err == nil {
			r.Close()
			t.Errorf("%+v was accepted", c.build)
			continue
		}
		var refusal *source.Refusal
		if !strings.Contains(err.Error(), c.says) || errors.Is(err, fs.ErrNotExist) != c.absent || errors.As(err, &refusal) == c.absent {
			t.Errorf("%+v: %v", c.build, err)
		}
	}
}

func TestContext_SubmodulesAndPointersAreRefusedByName(t *testing.T) {
	t.Parallel()
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
	t.Run("LFS", func(t *testing.T) {
		b := setup(t)
		tree := b.put(text(map[string]string{"Dockerfile": "FROM scratch", "assets/film.mp4": pointer}))
		wantRefusal(t, tree, "assets/film.mp4", "Git LFS")
		if _, err := tree.ReadFile("assets/film.mp4"); err == nil || !strings.Contains(err.Error(), "LFS") {
			t.Errorf("ReadFile: %v", err)
		}
		ignored := b.put(text(map[string]string{".dockerignore": "assets"}))
		stream(t, ignored, stack.Build{})
	})
	t.Run("submodule", func(t *testing.T) {
		b := setup(t)
		file := must(b.repo.Blob("FROM scratch"))(t)
		lib := must(b.repo.Tree(gitserver.Entry{Mode: "160000", Name: "dep", SHA: strings.Repeat("1", 40)}))(t)
		tree := b.tree(gitserver.Entry{Mode: "100644", Name: "Dockerfile", SHA: file}, gitserver.Entry{Mode: "40000", Name: "lib", SHA: lib})
		wantRefusal(t, tree, "lib/dep", "submodule")
		if _, err := tree.ReadFile("lib/dep/go.mod"); err == nil || !strings.Contains(err.Error(), "submodule") {
			t.Errorf("ReadFile: %v", err)
		}
	})
}
