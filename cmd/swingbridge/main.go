// Command swingbridge is a self-hosted continuous deployment server for Docker
// hosts: a merge to the deploy branch becomes the version that visitors see,
// with no request lost. This package is the only place that wires the others
// together; each subcommand has a file.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}
