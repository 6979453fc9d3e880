package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"
)

// refusesAFolderThatIsElsewhere starts serve with its data folder at another
// path than the host's. That it starts with the same one, composeServes shows.
func refusesAFolderThatIsElsewhere(t *testing.T, ref string) {
	socket := "/var/run/docker.sock"
	if host, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		socket = host
	}
	c, err := testcontainers.GenericContainer(t.Context(), testcontainers.GenericContainerRequest{
		Started: true, Logger: log.TestLogger(t),
		ContainerRequest: testcontainers.ContainerRequest{
			Image: ref, Cmd: []string{"serve"}, Labels: map[string]string{testLabel: "1"}, WaitingFor: wait.ForExit().WithExitTimeout(ample),
			Env: map[string]string{"SWINGBRIDGE_DATA": "/elsewhere", "SWINGBRIDGE_HTTPS": "", "HOME": "/elsewhere"},
			HostConfigModifier: func(c *container.HostConfig) {
				c.Binds = []string{t.TempDir() + ":/elsewhere", socket + ":/var/run/docker.sock"}
			},
		},
	})
	testcontainers.CleanupContainer(t, c, testcontainers.StopTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	state, err := c.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	said, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if state.ExitCode != 1 || !strings.Contains(string(said), "the data folder /elsewhere is not at that path on the host") {
		t.Errorf("serve ended with %d and said:\n%s", state.ExitCode, said)
	}
}
