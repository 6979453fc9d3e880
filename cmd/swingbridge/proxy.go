package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/swingbridge/swingbridge/server/proxy"
)

// proxyHelp says what the flags are for.
const proxyHelp = `Run the data plane alone: it listens at once, also with no routes yet, starts
from its last table, and takes changes over a unix socket.

With --take-over it continues a proxy that runs with the same settings, of this
version or another: it has its listening sockets, its table and its lock from it,
and no visitor notices. The other one ends what is open there, for 20 seconds at
most, and then ends itself with exit code 0. HTTP/3 is outside of this promise:
its visitors connect anew. Where no proxy runs, --take-over changes nothing. A
serve that has the data plane in its own process cannot be taken over.

`

func (p *program) proxy() *cobra.Command {
	var o proxyOptions
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Run the data plane alone, for a serve that names it in SWINGBRIDGE_PROXY",
		Long:  proxyHelp + settingsHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.config()
			if err != nil {
				return err
			}
			if err := cfg.checkSocket(); err != nil {
				return usage("%w", err)
			}
			return runProxy(cmd.Context(), cfg, o, logger(p.err))
		},
	}
	c.Flags().BoolVar(&o.takeOver, "take-over", false, "continue the proxy that runs, without a gap")
	c.Flags().BoolVar(&o.stay, "stay", false, "once taken over, wait idle to be stopped: for who restarts whatever ends")
	return c
}

// proxyOptions are the flags of proxy.
type proxyOptions struct {
	takeOver bool
	stay     bool
}

// runProxy is the data plane in a process of its own.
func runProxy(ctx context.Context, cfg Config, o proxyOptions, log *slog.Logger) error {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	plane, err := openProxy(ctx, cfg, o, log)
	if err != nil {
		return fmt.Errorf("prepare the data plane: %w", err)
	}
	err = together(ctx,
		plane.Run,
		func(ctx context.Context) error { return plane.ServeControl(ctx, cfg.socket()) },
		func(ctx context.Context) error {
			select {
			case <-plane.Started():
			case <-ctx.Done():
				return nil
			}
			if err := notify(cfg.NotifySocket, "READY=1"); err != nil {
				log.Warn("say that the proxy serves", "error", err)
			}
			<-ctx.Done()
			return nil
		},
	)
	if err != nil || !o.stay {
		return err
	}
	select {
	case <-plane.Taken():
		log.Info("idle until stopped: another process is the proxy now")
		<-ctx.Done()
	default: // it was stopped
	}
	return nil
}

func openProxy(ctx context.Context, cfg Config, o proxyOptions, log *slog.Logger) (*proxy.Proxy, error) {
	if o.takeOver {
		return proxy.TakeOver(ctx, cfg.socket(), planeOptions(cfg, log))
	}
	return proxy.New(planeOptions(cfg, log))
}
