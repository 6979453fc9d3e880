package docker

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// The build brings its Dockerfile along, which is not in the context, and
// copies from another folder by name.
func TestBuild_TakesADockerfileOfItsOwnAndFurtherContexts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	o := w.buildOrder("", "k1")
	delete(o.Tree.(tree), "Dockerfile")
	o.Spec.Inline = "ARG X=1\nFROM scratch\nCOPY --from=more tool /copied\nRUN [\"/copied\", \"say\", \"from the other context\"]\n"
	o.Spec.Contexts = map[string]string{"more": "."}
	o.Spec.Labels = map[string]string{"com.example.team": "shop"}
	var log bytes.Buffer
	id, _, err := w.Build(t.Context(), o, &log)
	if err != nil || !strings.Contains(log.String(), "from the other context") {
		t.Fatalf("%v\n%s", err, &log)
	}
	image, err := w.api.ImageInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if image.Config.Labels["com.example.team"] != "shop" || image.Config.Labels[labelService] != "web" {
		t.Errorf("labels %v", image.Config.Labels)
	}
	o.Key, o.Spec.Inline = "k2", "FROM scratch AS a\nFROM scratch\nCOPY --from=0 /x /x\n"
	if _, _, err := w.Build(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), "--from=name") {
		t.Errorf("a Dockerfile that counts its stages: %v", err)
	}
}

func TestCheckBuild_RefusesWhatReachesBeyondIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec stack.Build
		ok   bool
	}{
		"fine":    {stack.Build{Network: "none", Contexts: map[string]string{"a": "b"}}, true},
		"network": {stack.Build{Network: "host"}, false},
		"label":   {stack.Build{Labels: map[string]string{"dev.swingbridge.app": "x"}}, false},
		"stage":   {stack.Build{Contexts: map[string]string{"a\nFROM evil": "b"}}, false},
	} {
		if err := checkBuild(pipeline.BuildOrder{Key: "k", Spec: c.spec}); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInsertLines_KeepsWhatComesBefore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		before int
		want   string
	}{
		{"ARG a\nFROM b\n", 2, "ARG a\nX\nFROM b\n"},
		{"FROM b", 1, "X\nFROM b"},
		{"", 0, "X\n"},
	} {
		if got := insertLines(c.text, c.before, "X\n"); got != c.want {
			t.Errorf("%q before line %d: %q", c.text, c.before, got)
		}
	}
}
