package pipeline_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// data is a stack with one more service, in braces, that has its data where it
// says.
func data(service, at string) string {
	source, mode, _ := strings.Cut(at, ":")
	return shortGuard + `
services:
  ` + strings.TrimSuffix(service, "}") + `, volumes: ["` + strings.TrimSuffix(source+":/data:"+mode, ":") + `"]}
volumes: {rows: {}, others: {}}
`
}

// writers are the services of which a container that may write to the data runs.
func writers(w *pipelinetest.World) []string {
	var out []string
	for _, c := range w.Engine().Containers() {
		if c.Running && len(c.Writes) > 0 {
			out = append(out, c.Owner.Service)
		}
	}
	return out
}

func TestWriters_ADatabaseUnderAnotherNameNeverRunsBesideTheOldOne(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, next, at, want string }{
		"renamed":              {"db: {image: postgres:17}", "postgres: {image: postgres:17}", "rows", "give it the alias postgres"},
		"renamed, in folder":   {"db: {image: postgres:17}", "postgres: {image: postgres:17}", "./rows", "give it the alias postgres"},
		"built from now on":    {"db: {image: postgres:17}", "db: {build: .}", "rows", "leave its role as it is"},
		"no longer built":      {"db: {build: .}", "db: {image: postgres:17}", "rows", "leave its role as it is"},
		"renamed for a worker": {"db: {image: postgres:17}", "worker: {build: .}", "rows", "keep the name db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := pipelinetest.New()
				w.Ledger().SetOverlay(data(c.old, c.at))
				live := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
				wantState(t, w, live.ID, pipeline.Live)
				w.Ledger().SetOverlay(data(c.next, c.at))
				w.Fail = func(string, bool) error {
					if now := writers(w); len(now) > 1 {
						t.Errorf("%v write at once", now)
					}
					return nil
				}
				d := wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Failed)
				if !strings.Contains(d.Reason, c.want) {
					t.Errorf("reason %q, want %q", d.Reason, c.want)
				}
				if now := writers(w); !slices.Equal(now, []string{"db"}) {
					t.Errorf("%v write in the end", now)
				}
			})
		})
	}
}

// The controls: what is not handed over is nobody's business.
func TestWriters_OtherChangesAreDeployed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, next []string }{
		"other data":      {[]string{"db: {image: postgres:17}", "rows"}, []string{"postgres: {image: postgres:17}", "others"}},
		"read alone":      {[]string{"db: {image: postgres:17}", "rows"}, []string{"reader: {image: postgres:17}", "rows:ro"}},
		"another version": {[]string{"db: {image: postgres:17}", "rows"}, []string{"db: {image: postgres:18}", "rows"}},
		"two workers":     {[]string{"db: {build: .}", "rows"}, []string{"other: {build: .}", "rows"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := pipelinetest.New()
				w.Ledger().SetOverlay(data(c.old[0], c.old[1]))
				wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Live)
				w.Ledger().SetOverlay(data(c.next[0], c.next[1]))
				wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Live)
			})
		})
	}
}

func TestWriters_TakenOutFirstItMayComeBackUnderAnotherName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := pipelinetest.New()
		for _, overlay := range []string{data("db: {image: postgres:17}", "rows"), shortGuard, data("postgres: {image: postgres:17}", "rows")} {
			w.Ledger().SetOverlay(overlay)
			wantState(t, w, deploy(t, w, w.Forge().Push("main", nil), pipeline.Push).ID, pipeline.Live)
		}
		if now := writers(w); !slices.Equal(now, []string{"postgres"}) {
			t.Errorf("%v write in the end", now)
		}
	})
}
