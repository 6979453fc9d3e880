package docker

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	dockerregistry "github.com/docker/docker/api/types/registry"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/swingbridge/swingbridge/pipeline"
)

// privateRegistry asks everybody for a password, and returns where it is and a
// credentials file that knows it.
func privateRegistry(t *testing.T) (host, configFile string) {
	t.Helper()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "robot" || password != "sesame" {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	config, err := json.Marshal(map[string]any{"auths": map[string]any{
		host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("robot:sesame"))},
	}})
	if err != nil {
		t.Fatal(err)
	}
	configFile = filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return host, configFile
}

func TestPrivateRegistry_BuildsAndPullsLogIn(t *testing.T) {
	t.Parallel()
	host, configFile := privateRegistry(t)
	w := setupWith(t, Options{ConfigFile: configFile})
	id := w.build(plainDockerfile+"CMD [\""+w.installation+"\"]\n", "base")
	ref := host + "/team/base:1"
	if err := w.api.ImageTag(t.Context(), id, ref); err != nil {
		t.Fatal(err)
	}
	login, err := dockerregistry.EncodeAuthConfig(dockerregistry.AuthConfig{Username: "robot", Password: "sesame"})
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := w.api.ImagePush(t.Context(), ref, image.PushOptions{RegistryAuth: login})
	if err != nil {
		t.Fatal(err)
	}
	if err := messages(pushed, func(m message) error { return m.failure("push") }); err != nil {
		t.Fatal(err)
	}
	pushed.Close()
	if _, err := w.api.ImageRemove(t.Context(), id, image.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}

	w.build("FROM "+ref+"\nCMD [\"derived\"]\n", "derived")
	var log strings.Builder
	pulled, err := w.Pull(t.Context(), pipeline.PullOrder{Ref: ref}, &log)
	if err != nil || pulled != id {
		t.Fatalf("pulled %q, want %q: %v", pulled, id, err)
	}
	if !strings.Contains(log.String(), "Downloaded newer image") || strings.Contains(log.String(), "sesame") {
		t.Errorf("log:\n%s", &log)
	}

	nobody := setup(t)
	if _, err := nobody.Pull(t.Context(), pipeline.PullOrder{Ref: host + "/team/other:1"}, io.Discard); err == nil {
		t.Error("pulled without credentials")
	}
	_, _, err = nobody.Build(t.Context(), nobody.buildOrder("FROM "+host+"/team/other:1\n", "k"), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "/team/other:1") {
		t.Errorf("built without credentials: %v", err)
	}
}
