package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// ending says how a container ended.
func ending(c Container) string {
	switch {
	case c.OOM:
		return "was killed for using more memory than its limit"
	case c.Error != "":
		return "could not run: " + c.Error
	case c.Running && c.Restarts > 0:
		return fmt.Sprintf("ended and was started again (exit code %d)", c.ExitCode)
	case c.ExitCode == 0:
		return "ended by itself with exit code 0: a server must stay in the foreground"
	case c.ExitCode == 126 || c.ExitCode == 127:
		return fmt.Sprintf("ended with exit code %d: its command was not found or may not be executed", c.ExitCode)
	case c.ExitCode == 137:
		return "was killed (exit code 137)"
	case c.ExitCode > 128:
		return fmt.Sprintf("ended by signal %d (exit code %d)", c.ExitCode-128, c.ExitCode)
	}
	return fmt.Sprintf("ended with exit code %d", c.ExitCode)
}

// whyNot names the likely cause of a probe that found no success in time.
func (x *run) whyNot(ctx context.Context, p stack.Probe, c Container, last answer) error {
	head := fmt.Sprintf("not ready within %s, last answer: %s", p.Within, last.text)
	switch {
	case last.err == nil && last.good:
		return fmt.Errorf("%s, but the container's health check never became healthy", head)
	case last.err == nil && last.code >= 300 && last.code < 400:
		return fmt.Errorf("%s; the app redirects the probe: set probe.path to what answers directly, or probe.host to the name it expects", head)
	case last.err == nil && last.code == 400:
		return fmt.Errorf("%s; the app may not accept the host name %q: set probe.host", head, p.Host)
	case errors.Is(last.err, syscall.ECONNREFUSED):
		return errors.New(head + x.listening(ctx, p, c))
	}
	return errors.New(head)
}

// listening tells a wrong port from a server bound to the loopback address.
func (x *run) listening(ctx context.Context, p stack.Probe, c Container) string {
	at, err := x.Engine.Listeners(ctx, c.ID)
	if err != nil || at == nil {
		return fmt.Sprintf("; nothing accepts connections on port %d: is it the right port, and does the server listen on 0.0.0.0 and not 127.0.0.1?", p.Port)
	}
	var others []string
	for _, l := range at {
		if int(l.Port()) == p.Port && l.Addr().IsLoopback() {
			return fmt.Sprintf("; the server listens on %s only: bind it to 0.0.0.0:%d", l, p.Port)
		}
		if !isEngineResolver(l) {
			others = append(others, l.String())
		}
	}
	if len(others) == 0 {
		return fmt.Sprintf("; the container listens on no port at all, wanted is %d", p.Port)
	}
	return fmt.Sprintf("; the container listens on %s, but the route says port %d", strings.Join(others, ", "), p.Port)
}

// isEngineResolver recognizes the engine's own name server inside containers.
func isEngineResolver(l netip.AddrPort) bool { return l.Addr().String() == "127.0.0.11" }
