package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline"
)

const secretDockerfile = `FROM scratch AS base
COPY tool /tool
RUN --mount=type=secret,id=token,required=true ["/tool", "secret", "NONCE"]
FROM base
ENTRYPOINT ["/tool"]
`

func TestBuild_GivesSecretsAndFindsItsImageAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	// The nonce keeps what an earlier run of this test left in the builder's cache out.
	o := w.buildOrder(strings.ReplaceAll(secretDockerfile, "NONCE", w.installation), "k1")
	o.Spec.Secrets, o.Secrets = []string{"token"}, map[string]string{"token": "correct horse", "other": "not asked for"}
	var log bytes.Buffer
	id, cached, err := w.Build(t.Context(), o, &log)
	if err != nil || cached || !strings.HasPrefix(id, "sha256:") {
		t.Fatalf("id %q cached %v err %v\n%s", id, cached, err, &log)
	}
	for _, want := range []string{"COPY tool /tool", "secret of 13 bytes, <nil>", "DONE "} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
	if strings.Contains(log.String(), "correct horse") {
		t.Errorf("the log has the secret:\n%s", &log)
	}
	image, err := w.api.ImageInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]string{
		labelInstallation: w.installation, labelApp: "shop", labelAppID: w.app.ID, labelService: "web",
		labelCommit: o.Owner.Commit, labelVersion: o.Owner.Commit, labelSource: "acme/shop", testLabel: "1",
	} {
		if got := image.Config.Labels[label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	again, cached, err := w.Build(t.Context(), o, &log)
	if err != nil || !cached || again != id {
		t.Errorf("second build: id %q cached %v err %v", again, cached, err)
	}
	o.Key = "k2" // another key, same content: the builder's own cache
	log.Reset()
	if again, cached, err = w.Build(t.Context(), o, &log); err != nil || cached || !strings.Contains(log.String(), "CACHED") {
		t.Errorf("other key: id %q cached %v err %v\n%s", again, cached, err, &log)
	}
	o.Owner.AppID = "other" // an app of the same name that was made anew
	if _, cached, err = w.Build(t.Context(), o, io.Discard); err != nil || cached {
		t.Errorf("other app: cached %v err %v", cached, err)
	}
}

func TestBuild_FailingStepIsNamedWithItsCodeAndLastLines(t *testing.T) {
	t.Parallel()
	w := setup(t)
	o := w.buildOrder("FROM scratch\nCOPY tool /tool\nRUN --mount=type=secret,id=token [\"/tool\", \"fail\", \"42\"]\n", "k")
	o.Spec.Secrets, o.Secrets = []string{"token"}, map[string]string{"token": "correct horse"}
	_, _, err := w.Build(t.Context(), o, io.Discard)
	var failed *BuildError
	if !errors.As(err, &failed) {
		t.Fatalf("%T: %v", err, err)
	}
	if failed.ExitCode != 42 || !strings.Contains(failed.Step, "RUN") {
		t.Errorf("step %q code %d", failed.Step, failed.ExitCode)
	}
	text := err.Error()
	for _, want := range []string{"build web", "exit code 42", "the disk is on fire", "the token is ***"} {
		if !strings.Contains(text, want) {
			t.Errorf("the error lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "correct horse") {
		t.Errorf("the error has what it must not: %q", text)
	}
}

func TestBuild_AbsentSecretIsAnErrorBeforeTheBuild(t *testing.T) {
	t.Parallel()
	w := setup(t)
	o := w.buildOrder(secretDockerfile, "k")
	o.Spec.Secrets = []string{"token", "PIP_TOKEN"}
	o.Secrets = map[string]string{"token": "correct horse"}
	var log bytes.Buffer
	_, _, err := w.Build(t.Context(), o, &log)
	if err == nil || !strings.Contains(err.Error(), "PIP_TOKEN") || !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("named by the stack: %v", err)
	}
	o.Spec.Secrets = nil
	_, _, err = w.Build(t.Context(), o, &log)
	if err == nil || !strings.Contains(err.Error(), "token (line 3)") {
		t.Errorf("named by the Dockerfile: %v", err)
	}
	if log.Len() > 0 {
		t.Errorf("the build began: %s", &log)
	}
}

func TestBuild_NewerSyntaxIsExplained(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, dockerfile := range map[string]string{
		"heredoc": "FROM scratch\nCOPY tool /tool\nCOPY <<EOF /hello\nhello there\nEOF\n",
		"link":    "FROM scratch\nCOPY --link tool /tool\n",
	} {
		_, _, err := w.Build(t.Context(), w.buildOrder(dockerfile, name), io.Discard)
		info, pingErr := w.Ping(t.Context())
		if pingErr != nil {
			t.Fatal(pingErr)
		}
		if err == nil && !strings.HasPrefix(info.Version, "20.") {
			continue // a newer engine builds it
		}
		if err == nil || !strings.Contains(err.Error(), "hint: the builder inside this engine") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuild_CancelEndsIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	o := w.buildOrder("FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"wait\"]\n", "k")
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("a newer push came")
	log := writer(func(p []byte) {
		if bytes.Contains(p, []byte("waiting")) {
			cancel(enough)
		}
	})
	_, _, err := w.Build(ctx, o, log)
	if !errors.Is(err, enough) {
		t.Fatalf("got %v", err)
	}
	if _, err := w.api.ImageInspect(t.Context(), w.imageName("shop", "web", "k")); err == nil {
		t.Error("there is an image")
	}
}

func TestBuild_BrokenContextSaysWhy(t *testing.T) {
	t.Parallel()
	w := setup(t)
	o := w.buildOrder(plainDockerfile, "k")
	o.Tree = brokenTree{o.Tree}
	_, _, err := w.Build(t.Context(), o, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "object 4711 is missing") {
		t.Fatalf("got %v", err)
	}
	o.Tree = tree{}
	_, _, err = w.Build(t.Context(), o, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "Dockerfile") {
		t.Fatalf("got %v", err)
	}
}

func TestBuild_FullDiskBelowTheLogEndsIt(t *testing.T) {
	t.Parallel()
	w := setup(t)
	full := errors.New("no space for the log")
	_, _, err := w.Build(t.Context(), w.buildOrder(plainDockerfile, "k"), failingWriter{full})
	if err == nil || !strings.Contains(err.Error(), full.Error()) {
		t.Fatalf("got %v", err)
	}
}

func TestBuild_CacheMountsAreTheAppsOwn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	mount := "FROM scratch\nCOPY tool /tool\nRUN --mount=type=cache,id=NONCE,target=/c [\"/tool\", \"COMMAND\", \"/c/left\", \"APP\"]\n"
	for _, step := range []struct{ app, command, says string }{
		{w.app.ID, "leave", ""}, {w.app.ID, "look", "there: true"}, {"other", "look", "there: false"},
	} {
		o := w.buildOrder(strings.NewReplacer("NONCE", w.installation, "COMMAND", step.command, "APP", step.app).Replace(mount), step.command)
		o.Owner.AppID = step.app
		o.Spec.Args = map[string]string{"BUILDKIT_CACHE_MOUNT_NS": "everybody"}
		var log bytes.Buffer
		if _, _, err := w.Build(t.Context(), o, &log); err != nil || !strings.Contains(log.String(), step.says) {
			t.Errorf("%+v: %v\n%s", step, err, &log)
		}
	}
}
