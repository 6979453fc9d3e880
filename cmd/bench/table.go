package main

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
)

// figure is one row: a number of runs, their spread, and what was wanted of
// their median.
type figure struct {
	what string
	unit string // "", µs, ms, MB, /s
	runs []float64
	goal goal
}

// goal is a bound on the median. The zero goal is none: the row explains
// others.
type goal struct {
	sign  string // ≤ or ≥
	bound float64
}

func atMost(bound float64) goal  { return goal{"≤", bound} }
func atLeast(bound float64) goal { return goal{"≥", bound} }

func (g goal) String() string {
	if g.sign == "" {
		return ""
	}
	return g.sign + " " + strconv.FormatFloat(g.bound, 'f', -1, 64)
}

func (g goal) verdict(median float64) string {
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

func head(_ context.Context, args []string, out io.Writer) error {
	if err := parse(flag.NewFlagSet("head", flag.ContinueOnError), args); err != nil {
		return err
	}
	fmt.Fprintf(out, columns, "figure", "min", "median", "max", "runs", "goal", "verdict")
	_, err := fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: | --- | --- |")
	return err
}

func (f figure) print(out io.Writer) error {
	if len(f.runs) == 0 {
		return fmt.Errorf("%s: no run", f.what)
	}
	what := f.what
	if f.unit != "" {
		what += " (" + f.unit + ")"
	}
	sorted := slices.Sorted(slices.Values(f.runs))
	median := quantile(sorted, 0.5)
	_, err := fmt.Fprintf(out, columns, what, show(sorted[0]), show(median), show(sorted[len(sorted)-1]),
		strconv.Itoa(len(sorted)), f.goal, f.goal.verdict(median))
	return err
}

// show prints three significant digits, and whole numbers from 100 on.
func show(v float64) string {
	if v == 0 || math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// quantile reads sorted values by nearest rank; the median of an even number
// is the mean of the middle two.
func quantile(sorted []float64, q float64) float64 {
	n := len(sorted)
	if q == 0.5 && n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[max(0, int(math.Ceil(q*float64(n)))-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// ratios divides run by run.
func ratios(above, below []float64) []float64 {
	out := make([]float64, len(above))
	for i := range above {
		out[i] = above[i] / below[i]
	}
	return out
}

// figureFromArgs prints what a script read, as from /proc.
func figureFromArgs(_ context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("figure", flag.ContinueOnError)
	what, unit := f.String("what", "", "name of the figure"), f.String("unit", "", "unit")
	most := f.Float64("at-most", 0, "goal, 0 for none")
	runs := f.String("runs", "", "values, separated by blanks")
	if err := parse(f, args); err != nil {
		return err
	}
	row := figure{what: *what, unit: *unit}
	if *most > 0 {
		row.goal = atMost(*most)
	}
	for _, text := range strings.Fields(*runs) {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", *what, err)
		}
		row.runs = append(row.runs, v)
	}
	return row.print(out)
}
