package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

// remote is the server that SWINGBRIDGE_URL, or LISTEN, names.
func (p *program) remote() (*client.Client, error) {
	cfg, err := p.config()
	if err != nil {
		return nil, err
	}
	base, token := cfg.server()
	if token == "" {
		return nil, exitError{code: exitUnreachable, err: errors.New("who are you? Set SWINGBRIDGE_TOKEN to an API token (swingbridge token create, or the Settings page)")}
	}
	c, err := client.New(base, token)
	if err != nil {
		return nil, exitError{code: exitUsage, err: err}
	}
	return c, nil
}

// refused gives an error of the server its exit code and a hint.
func refused(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, client.ErrUnreachable) {
		return exitError{code: exitUnreachable, err: fmt.Errorf("%w: is the server running, and is SWINGBRIDGE_URL right?", err)}
	}
	var problem *client.Error
	if !errors.As(err, &problem) {
		return err
	}
	switch problem.Status {
	case http.StatusUnauthorized:
		return exitError{code: exitUnreachable, err: fmt.Errorf("%w: check SWINGBRIDGE_TOKEN", err)}
	case http.StatusForbidden:
		return exitError{code: exitUnreachable, err: err}
	case http.StatusUnprocessableEntity:
		return exitError{code: exitUsage, err: err}
	}
	return exitError{code: exitFailed, err: err}
}

// show prints v as JSON if that is wanted, else calls text.
func (p *program) show(v any, text func()) error {
	if !p.json {
		text()
		return nil
	}
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// table prints rows in columns, with a head where there are rows.
func (p *program) table(head string, rows [][]string, none string) {
	if len(rows) == 0 {
		fmt.Fprintln(p.err, none)
		return
	}
	w := tabwriter.NewWriter(p.out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	_ = w.Flush() // an error shows at the terminal itself
}

// ago is a moment in words.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return t.Local().Format(time.DateOnly)
}

// codeOf is the exit code that a deployment's end asks for. One that was watched
// when an operator ended it is rolled back, but did not fail.
func codeOf(d api.Deployment) int {
	switch d.State {
	case pipeline.Live, pipeline.Retired:
		return exitDone
	case pipeline.Superseded, pipeline.Canceled:
		return exitSuperseded
	case pipeline.RolledBack:
		if d.Reason == pipeline.ErrCanceled.Error() || d.Reason == pipeline.ErrRollBack.Error() {
			return exitSuperseded
		}
	}
	return exitDeployment
}
