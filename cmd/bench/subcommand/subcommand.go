// Package subcommand chooses one of a benchmark's parts by its name and reads
// its flags.
package subcommand

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Subcommand is one part of a program.
type Subcommand struct {
	Name string
	Does string // a few words for the list of all
	Run  func(ctx context.Context, args []string, out io.Writer) error
}

// Main runs what the program's arguments name until it ends or is interrupted,
// and returns the exit code. hint is said above the list where they name nothing.
func Main(program, hint string, all []Subcommand) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, hint, all, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		return 1
	}
	return 0
}

// Run runs the subcommand that the first argument names with those after it.
func Run(ctx context.Context, hint string, all []Subcommand, args []string, out io.Writer) error {
	lines := []string{hint}
	for _, s := range all {
		if len(args) == 0 || s.Name != args[0] {
			lines = append(lines, fmt.Sprintf("  %-11s %s", s.Name, s.Does))
			continue
		}
		if err := s.Run(ctx, args[1:], out); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

// Parse reads a subcommand's flags and refuses anything else.
func Parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return nil
}
