package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

func TestCommands_ExplainThemselves(t *testing.T) {
	t.Parallel()
	root := (&program{}).root()
	seen := 0
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, below := range c.Commands() {
			visit(below)
		}
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" || c.HasParent() && c.Parent().Name() == "completion" {
			return
		}
		seen++
		path := strings.Fields(c.CommandPath())[1:]
		var out, failed bytes.Buffer
		// Help needs no settings, not even good ones.
		code := run(t.Context(), append(path, "--help"), []string{"SWINGBRIDGE_NONSENSE=1"}, stdio{in: strings.NewReader(""), out: &out, err: &failed})
		if code != exitDone || failed.Len() > 0 {
			t.Errorf("%v --help ends with %d: %s", path, code, &failed)
		}
		if c.Short == "" || !strings.Contains(out.String(), "Usage:") {
			t.Errorf("%v --help does not say what it does:\n%s", path, &out)
		}
	}
	visit(root)
	if seen < 25 {
		t.Errorf("only %d commands were asked", seen)
	}
}

func TestServe_HelpListsEverySetting(t *testing.T) {
	t.Parallel()
	params, err := env.GetFieldParams(&Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		// Names that belong together share a line: _HTTP, _HTTPS.
		last := p.Key[strings.LastIndex(p.Key, "_"):]
		if p.Key != "SWINGBRIDGE_DATABASE_URL" && !strings.Contains(settingsHelp, p.Key) && !strings.Contains(settingsHelp, " "+last) {
			t.Errorf("%s is not in the help of serve", p.Key)
		}
	}
	if len(params) < 20 {
		t.Errorf("only %d settings were looked for", len(params))
	}
}

func TestExitCodes_TellFailureFromWhatAnOperatorEnded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		state  pipeline.State
		reason string
		want   int
	}{
		{pipeline.Live, "", exitDone},
		{pipeline.Retired, "", exitDone},
		{pipeline.Failed, "web ended with exit code 1", exitDeployment},
		{pipeline.Stuck, "", exitDeployment},
		{pipeline.RolledBack, "web ended with exit code 1", exitDeployment},
		{pipeline.RolledBack, pipeline.ErrCanceled.Error(), exitSuperseded},
		{pipeline.RolledBack, pipeline.ErrRollBack.Error(), exitSuperseded},
		{pipeline.Canceled, pipeline.ErrCanceled.Error(), exitSuperseded},
		{pipeline.Superseded, "", exitSuperseded},
	} {
		if got := codeOf(api.Deployment{State: test.state, Reason: test.reason}); got != test.want {
			t.Errorf("%s (%s): exit code %d, want %d", test.state, test.reason, got, test.want)
		}
	}
}

func TestCLI_OnItsOwn(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script", "offline"), RequireExplicitExec: true, Cmds: scriptCommands(nil),
	})
}

func TestCLI_WithAServer(t *testing.T) {
	t.Parallel()
	s := live(t)
	s.addApp("quay", "octocat/quay", "quay.localhost")
	s.commit("octocat/quay", release{version: "version 1"}, "Lay the first stone")
	// The scripts are parallel tests: they are done when the group is.
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: filepath.Join("testdata", "script", "online"), RequireExplicitExec: true, Cmds: scriptCommands(s),
			Setup: func(e *testscript.Env) error {
				e.Setenv("SWINGBRIDGE_URL", s.url)
				e.Setenv("SWINGBRIDGE_TOKEN", s.token)
				return nil
			},
		})
	})
}

type scriptCommand = func(ts *testscript.TestScript, neg bool, args []string)

// scriptCommands are what scripts can do besides testscript's own commands.
func scriptCommands(s *site) map[string]scriptCommand {
	return map[string]scriptCommand{
		// exits CODE COMMAND…: the command ends with this code.
		"exits": func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, args) },
		// json COMMAND…: the command ends well and prints one JSON value.
		"json": func(ts *testscript.TestScript, _ bool, args []string) {
			exits(ts, append(append([]string{"0"}, args...), "--json"))
			if out := ts.ReadFile("stdout"); !json.Valid([]byte(out)) {
				ts.Fatalf("%v does not print JSON: %s", args, out)
			}
		},
		// bad NAME=VALUE: the setting is refused by its name.
		"bad": func(ts *testscript.TestScript, _ bool, args []string) {
			name, _, _ := strings.Cut(args[0], "=")
			exits(ts, []string{"2", "env", args[0], "swingbridge", "status"})
			name = strings.TrimSuffix(name, "_FILE")
			if said := ts.ReadFile("stderr"); !strings.Contains(said, name) && !strings.Contains(said, field(name)) {
				ts.Fatalf("%s is refused without its name: %s", args[0], said)
			}
		},
		// push good|broken|slow: the head of quay's branch, without a delivery.
		"push": func(ts *testscript.TestScript, _ bool, args []string) {
			how := map[string][]string{"good": nil, "broken": {"-fail", "no luck"}, "slow": {"-slow", "60s"}}
			s.commit("octocat/quay", release{version: args[0], args: how[args[0]]}, "A "+args[0]+" release")
		},
		// cancel-next: cancels quay's next deployment once it is being probed.
		"cancel-next": func(ts *testscript.TestScript, _ bool, _ []string) {
			before := s.newest(ts, "quay")
			done := make(chan struct{})
			ts.Defer(func() { <-done })
			go func() {
				defer close(done)
				if err := s.cancelAfter(before); err != nil {
					s.t.Errorf("cancel the next deployment: %v", err)
				}
			}()
		},
	}
}

// field is the name of a setting's field in Config, which errors about its type
// have.
func field(name string) string {
	name = strings.ReplaceAll(strings.TrimPrefix(name, "SWINGBRIDGE_"), "_", "")
	for _, have := range []string{"TLSInternal", "GitHubAppID"} {
		if strings.EqualFold(have, name) {
			return have
		}
	}
	return "no such field"
}

func exits(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		got = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v: %v", args[1:], err)
	}
	if got != want {
		ts.Fatalf("%v ended with exit code %d, want %d", args[1:], got, want)
	}
}

// newest is the id of the app's newest deployment.
func (s *site) newest(ts *testscript.TestScript, app string) string {
	list, err := s.api.Deployments(context.Background(), app, client.Part{Limit: 1})
	ts.Check(err)
	if len(list.Items) == 0 {
		return ""
	}
	return list.Items[0].ID
}

// cancelAfter cancels the deployment after the given one, at its probe.
func (s *site) cancelAfter(before string) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), ample)
	defer cancel()
	for {
		list, err := s.api.Deployments(ctx, "quay", client.Part{Limit: 1, States: []pipeline.State{pipeline.Running}})
		if err != nil {
			return err
		}
		for _, d := range list.Items {
			if n := len(d.Steps); d.ID > before && n > 0 && d.Steps[n-1].Name == "probe" {
				_, err := s.api.Cancel(ctx, d.ID)
				return err
			}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}
