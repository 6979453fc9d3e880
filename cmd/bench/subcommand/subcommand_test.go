package subcommand_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

func some() []subcommand.Subcommand {
	return []subcommand.Subcommand{
		{Name: "swap", Does: "time swaps", Run: func(_ context.Context, args []string, out io.Writer) error {
			_, err := fmt.Fprint(out, args)
			return err
		}},
		{Name: "push", Does: "time pushes", Run: func(context.Context, []string, io.Writer) error {
			return errors.New("no server")
		}},
	}
}

func TestRun_GivesTheNamedOneTheOtherArguments(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := subcommand.Run(t.Context(), "name one", some(), []string{"swap", "-n", "3"}, &out); err != nil || out.String() != "[-n 3]" {
		t.Errorf("it printed %q and ended with %v", out.String(), err)
	}
}

func TestRun_NamesTheOneThatFailed(t *testing.T) {
	t.Parallel()
	err := subcommand.Run(t.Context(), "name one", some(), []string{"push"}, io.Discard)
	if err == nil || err.Error() != "push: no server" {
		t.Errorf("the error is %v", err)
	}
}

func TestRun_ListsAllWhereNoneIsNamed(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"swop"}} {
		err := subcommand.Run(t.Context(), "name one", some(), args, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "name one\n") ||
			!strings.Contains(err.Error(), "time swaps") || !strings.Contains(err.Error(), "time pushes") {
			t.Errorf("with arguments %q the error is %v", args, err)
		}
	}
}

func TestParse_RefusesWhatIsNoFlag(t *testing.T) {
	t.Parallel()
	f := flag.NewFlagSet("swap", flag.ContinueOnError)
	n := f.Int("n", 0, "how often")
	if err := subcommand.Parse(f, []string{"-n", "3"}); err != nil || *n != 3 {
		t.Errorf("n is %d, error %v", *n, err)
	}
	if err := subcommand.Parse(f, []string{"-n", "3", "more"}); err == nil || !strings.Contains(err.Error(), `"more"`) {
		t.Errorf("the error is %v", err)
	}
}
