package docker

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/session/auth"
)

func TestDockerfile_SecretsOfTheStagesThatTheTargetNeeds(t *testing.T) {
	t.Parallel()
	d := readDockerfile([]byte(`FROM scratch AS unused
RUN --mount=type=secret,id=nobody true
FROM scratch AS deps
RUN --mount=type=secret,id=pip,target=/run/secrets/pip \
    --mount=type=secret,id=maybe,required=false true
FROM scratch AS assets
RUN --mount=type=secret,target=/run/secrets/npm true
FROM deps AS final
COPY --from=assets /a /a
run --mount=type=bind,from=deps,target=/x --mount=type=cache,target=/c true
`))
	for _, c := range []struct {
		target string
		given  []string
		want   []string
	}{
		{"", nil, []string{"pip (line 4)", "npm (line 7)"}},
		{"final", []string{"pip"}, []string{"npm (line 7)"}},
		{"deps", nil, []string{"pip (line 4)"}},
		{"UNUSED", nil, []string{"nobody (line 2)"}},
		{"", []string{"pip", "npm"}, nil},
		{"absent", nil, nil},
	} {
		if diff := cmp.Diff(c.want, d.missing(c.target, c.given)); diff != "" {
			t.Errorf("target %q: %s", c.target, diff)
		}
	}
}

func TestDockerfile_OddOnesAreLeftToTheBuilder(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "RUN x", "FROM", "FROM a AS", "\x00\xff", "FROM a\nCOPY --from=99 a b\nRUN --mount= x", "FROM a\nFROM 0\nCOPY --from=-1 a b"} {
		if missing := readDockerfile([]byte(content)).missing("", nil); missing != nil {
			t.Errorf("%q: %v", content, missing)
		}
	}
}

func TestHint_FitsTheError(t *testing.T) {
	t.Parallel()
	newer := readDockerfile([]byte("FROM scratch\nRUN <<EOF\necho hi\nEOF\nCOPY --link a b\n"))
	if len(newer.newer) != 2 {
		t.Fatalf("found %v", newer.newer)
	}
	syntax := readDockerfile([]byte("# syntax=docker/dockerfile:1\nFROM scratch\n"))
	for _, c := range []struct {
		file dockerfile
		text string
		code int
		want string
	}{
		{newer, "dockerfile parse error line 3: unknown instruction: ECHO", 0, "heredoc of line 2, COPY --link of line 5"},
		{newer, "Unknown flag: link", 0, "use a newer engine"},
		{newer, "connection reset", 0, ""},
		{dockerfile{}, "dockerfile parse error line 3", 0, ""},
		{syntax, "failed to solve with frontend dockerfile.v0", 0, "# syntax="},
		{dockerfile{}, "write /x: no space left on device", 0, "disk is full"},
	} {
		got := hint(c.file, errors.New(c.text), c.code)
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q", c.text, got)
		}
	}
}

func TestMasker_FindsSecretsInEveryDress(t *testing.T) {
	t.Parallel()
	mask := masker([]string{"p@ss word/1", "line one\nline two\n", "abc"})
	for in, want := range map[string]string{
		"x p@ss word/1 y": "x *** y", "cEBzcyB3b3JkLzE=": "***", "p%40ss+word%2F1": "***", "got line two": "got ***", "abc": "abc",
	} {
		if got := mask(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestPlain_LeavesNothingThatMovesATerminal(t *testing.T) {
	t.Parallel()
	if got := plain("10%\r50%\r\x1b[1;32m100%\x1b[0m done\a\x1b]0;title"); strings.ContainsAny(got, "\x1b\r\a") || !strings.Contains(got, "100% done") {
		t.Errorf("%q", got)
	}
}

func TestCredentials_AreFoundByRegistry(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.json")
	content := `{"auths":{
		"https://index.docker.io/v1/":{"auth":"aHViOnNlc2FtZTpvcGVu"},
		"registry.example:5000":{"username":"u","password":"p"},
		"ghcr.io":{"identitytoken":"t"},"empty.example":{}},"credsStore":"desktop"}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := readCredentials(file)
	if err != nil {
		t.Fatal(err)
	}
	answers := &registryAuth{credentials: found}
	for host, want := range map[string][2]string{
		"registry-1.docker.io": {"hub", "sesame:open"}, "docker.io": {"hub", "sesame:open"},
		"registry.example:5000": {"u", "p"}, "ghcr.io": {"", "t"}, "empty.example": {}, "registry.example": {},
	} {
		got, err := answers.Credentials(t.Context(), &auth.CredentialsRequest{Host: host})
		if err != nil || got.Username != want[0] || got.Secret != want[1] {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	if got, err := readCredentials(file + "x"); err != nil || len(got) > 0 {
		t.Errorf("absent: %v %v", got, err)
	}
	if err := os.WriteFile(file, []byte(`{"auths": "hunter2`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readCredentials(file); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("broken: %v", err)
	}
}

func TestListening_ReadsTheKernelsTable(t *testing.T) {
	t.Parallel()
	table := `  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 0B00007F:9C41 00000000:0000 0A 00000000:00000000
   2: 0200000A:1F90 0300000A:C350 01 00000000:00000000
   3: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0
   4: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 0
   5: nonsense 0 0A
`
	want := []netip.AddrPort{
		netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("[::]:80"), netip.MustParseAddrPort("127.0.0.1:81"),
	}
	if got := listening([]byte(table)); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestRoutes_ReadsTheKernelsTable(t *testing.T) {
	t.Parallel()
	table := `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
wg0	0000140A	00000000	0001	0	0	0	0000FFFF	0	0	0
`
	got := routes([]byte(table))
	if len(got) != 2 || got[1].via != "wg0" || got[1].to != netip.MustParsePrefix("10.20.0.0/16") || got[0].to.Bits() != 0 {
		t.Errorf("got %v", got)
	}
}
