package store

import (
	"strings"
	"testing"
)

// TestPlan_NothingReadsTheWholeHistory guards the queries of every delivery
// and every move: SQLite once read all of an app's deployments to find the few
// that wait, since that gave them in order.
func TestPlan_NothingReadsTheWholeHistory(t *testing.T) {
	t.Parallel()
	db, err := OpenDatabase(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for query, want := range map[string]string{
		selectDeployment + whereOpen:   "deployments_app_state (app_id=? AND state=?",
		selectOlderQueued:              "deployments_app_state (app_id=? AND state=?",
		selectDeployment + whereQueued: "deployments_app_state (app_id=? AND state=?",
		selectStuck:                    "deployments_app_state (app_id=? AND state=?",
		selectLastGood:                 "deployments_app_state (app_id=? AND state=?",
		selectNewerQueued:              "(app_id=? AND state=?",
		`select id from deployments where app_id = $1 and state = 'live'`: "(app_id=?",
		selectStandingApps: "MULTI-INDEX OR",
		`select ` + reportColumns + ` from reports where sent < wanted and next_at <= $1 order by next_at`: "reports_due",
		`select coalesce(max(id), '') from deployments`:                                                    "SEARCH deployments",
	} {
		plan, err := collect(t.Context(), db.Read, func(r scanner) (string, error) {
			var id, parent, unused int
			var detail string
			err := r.Scan(&id, &parent, &unused, &detail)
			return detail, err
		}, "explain query plan "+query, make([]any, strings.Count(query, "$"))...)
		if err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(plan, "\n"); !strings.Contains(all, want) || strings.Contains(all, "SCAN ") {
			t.Errorf("%s\nis done by\n%s\nwant %s", query, all, want)
		}
	}
}
