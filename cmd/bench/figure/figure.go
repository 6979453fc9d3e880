// Package figure prints measured numbers as rows of a table, with their spread
// and whether they are what was wanted.
package figure

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

// Row is one figure: a number of runs, their spread, and what was wanted of
// their median.
type Row struct {
	What string
	Unit string // "", µs, ms, MB, /s
	Runs []float64
	Goal Goal
}

// Goal is a bound on the median. The zero goal is none: the row explains
// others.
type Goal struct {
	sign  string // ≤ or ≥
	bound float64
}

// AtMost is a goal that a smaller median meets.
func AtMost(bound float64) Goal { return Goal{"≤", bound} }

// AtLeast is a goal that a greater median meets.
func AtLeast(bound float64) Goal { return Goal{"≥", bound} }

func (g Goal) String() string {
	if g.sign == "" {
		return ""
	}
	return g.sign + " " + strconv.FormatFloat(g.bound, 'f', -1, 64)
}

func (g Goal) verdict(median float64) string {
	switch {
	case g.sign == "":
		return ""
	case g.sign == "≤" && median <= g.bound, g.sign == "≥" && median >= g.bound:
		return "met"
	}
	return "missed"
}

// The columns are those of a Markdown table, padded for a terminal.
const columns = "| %-46s | %9s | %9s | %9s | %6s | %-9s | %-7s |\n"

// Head prints the table's head.
func Head(out io.Writer) error {
	fmt.Fprintf(out, columns, "figure", "min", "median", "max", "runs", "goal", "verdict")
	_, err := fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: | --- | --- |")
	return err
}

// Print prints the row. A row of no run is an error.
func (f Row) Print(out io.Writer) error {
	if len(f.Runs) == 0 {
		return fmt.Errorf("%s: no run", f.What)
	}
	what := f.What
	if f.Unit != "" {
		what += " (" + f.Unit + ")"
	}
	sorted := slices.Sorted(slices.Values(f.Runs))
	median := Quantile(sorted, 0.5)
	_, err := fmt.Fprintf(out, columns, what, Show(sorted[0]), Show(median), Show(sorted[len(sorted)-1]),
		strconv.Itoa(len(sorted)), f.Goal, f.Goal.verdict(median))
	return err
}

// Show prints three significant digits, and whole numbers from 100 on.
func Show(v float64) string {
	if v == 0 || math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// Quantile reads sorted values by nearest rank; the median of an even number
// is the mean of the middle two.
func Quantile(sorted []float64, q float64) float64 {
	n := len(sorted)
	if q == 0.5 && n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[max(0, int(math.Ceil(q*float64(n)))-1)]
}

// MS is d in milliseconds.
func MS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// US is d in microseconds.
func US(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Ratios divides run by run.
func Ratios(above, below []float64) []float64 {
	out := make([]float64, len(above))
	for i := range above {
		out[i] = above[i] / below[i]
	}
	return out
}

// Command prints a row with what a script read, as from /proc.
func Command(_ context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("figure", flag.ContinueOnError)
	what, unit := f.String("what", "", "name of the figure"), f.String("unit", "", "unit")
	most := f.Float64("at-most", 0, "goal, 0 for none")
	runs := f.String("runs", "", "values, separated by blanks")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	row := Row{What: *what, Unit: *unit}
	if *most > 0 {
		row.Goal = AtMost(*most)
	}
	for _, text := range strings.Fields(*runs) {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", *what, err)
		}
		row.Runs = append(row.Runs, v)
	}
	return row.Print(out)
}
