package docker

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"

	"github.com/swingbridge/swingbridge/pipeline"
)

func TestPull_FollowsThePolicy(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.build(plainDockerfile, "plain")
	there := w.imageName("shop", "web", "plain")
	for policy, ok := range map[string]bool{"": true, "missing": true, "never": true, "always": false} {
		// There is no registry that has it, so whoever asks one fails.
		got, err := w.Pull(t.Context(), pipeline.PullOrder{Ref: there, Policy: policy}, io.Discard)
		if (err == nil) != ok || ok && got != id {
			t.Errorf("policy %q: %q, %v", policy, got, err)
		}
	}
	_, err := w.Pull(t.Context(), pipeline.PullOrder{Ref: "127.0.0.1:1/not:here", Policy: "never"}, io.Discard)
	if !errors.Is(err, pipeline.ErrNotFound) || !strings.Contains(err.Error(), "pull policy is never") {
		t.Errorf("absent, and never pulled: %v", err)
	}
}

func TestIsPlatform_ComparesWhatIsSaid(t *testing.T) {
	t.Parallel()
	i := image.InspectResponse{Os: "linux", Architecture: "arm64", Variant: "v8"}
	for platform, want := range map[string]bool{
		"": true, "linux/arm64": true, "linux/arm64/v8": true, "linux/arm64/v7": false, "linux/amd64": false, "linux": false,
	} {
		if isPlatform(i, platform) != want {
			t.Errorf("%q", platform)
		}
	}
}
