package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/server/proxy"
)

// healthTime is how long a process may take to say that it is well.
const healthTime = 3 * time.Second

// health is what the health checks of compose.yml run: the image has no shell
// and no curl that could ask. Its exit codes are 0 and 1 only, for the engine
// keeps 2 for itself.
func (p *program) health() *cobra.Command {
	var plane bool
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask a running serve, or with --proxy a running proxy, whether it is well",
		Long: `Ask a running serve, or with --proxy a running proxy, whether it is well: exit
code 0 if it is, 1 if not. It reads the same settings as the process it asks.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(p.environ)
			if err != nil {
				return exitError{code: exitFailed, err: err}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTime)
			defer cancel()
			ask := askServe
			if plane {
				ask = askPlane
			}
			if err := ask(ctx, cfg); err != nil {
				return exitError{code: exitFailed, err: err}
			}
			fmt.Fprintln(p.out, "ok")
			return nil
		},
	}
	c.Flags().BoolVar(&plane, "proxy", false, "ask the proxy, over its control socket")
	return c
}

func askServe(ctx context.Context, cfg Config) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+dialable(cfg.Listen)+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // its status says it all
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	return nil
}

func askPlane(ctx context.Context, cfg Config) error {
	c := proxy.NewClient(cfg.socket())
	defer c.Close()
	h, err := c.Health(ctx)
	if err != nil {
		return err
	}
	if !h.Ready {
		return errors.New("the proxy takes no visitors: it starts, or it drains")
	}
	return nil
}
