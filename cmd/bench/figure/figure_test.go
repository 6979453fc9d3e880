package figure

import (
	"strings"
	"testing"
)

func TestFigure_SaysWhetherItsMedianMeetsTheGoal(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]Row{
		"met":    {What: "a", Unit: "ms", Runs: []float64{9, 1, 2}, Goal: AtMost(2)},
		"missed": {What: "b", Unit: "/s", Runs: []float64{9, 1, 2, 4}, Goal: AtLeast(3.1)},
		"":       {What: "c", Runs: []float64{1}},
	} {
		var out strings.Builder
		if err := f.Print(&out); err != nil {
			t.Fatal(err)
		}
		cells := strings.Split(out.String(), "|")
		if got := strings.TrimSpace(cells[7]); got != want {
			t.Errorf("verdict %q, want %q: %s", got, want, out.String())
		}
	}
	if err := (Row{What: "d"}).Print(&strings.Builder{}); err == nil {
		t.Error("a figure of no run was printed")
	}
}

func TestQuantile_IsTheNearestRank(t *testing.T) {
	t.Parallel()
	sorted := make([]float64, 200)
	for i := range sorted {
		sorted[i] = float64(i + 1)
	}
	for q, want := range map[float64]float64{0.5: 100.5, 0.99: 198, 1: 200} {
		if got := Quantile(sorted, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}
