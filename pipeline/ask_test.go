package pipeline_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/pipelinetest"
)

// allowed makes a release live that has two permissions.
func allowed(t *testing.T, w *pipelinetest.World) pipeline.Deployment {
	t.Helper()
	w.Ledger().ChangeApp(func(a *pipeline.App) { a.Allow = []string{"cap:NET_RAW", "cap:CHOWN"} })
	w.Ledger().SetOverlay("services: {web: {cap_add: [NET_RAW, CHOWN]}}")
	d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
	wantState(t, w, d.ID, pipeline.Live)
	return d
}

func TestPermissions_ThatAreMissingAreShownBesideThoseOfTheLiveRelease(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		live := allowed(t, w)
		w.Ledger().SetOverlay("services: {web: {cap_add: [NET_RAW, NET_ADMIN], privileged: true}}")
		sha := w.Forge().Push("main", nil)
		want := pipeline.PermissionDiff{
			Live: live.Commit, Had: []string{"cap:CHOWN", "cap:NET_RAW"}, New: []string{"cap:NET_ADMIN", "privileged"}, Gone: []string{"cap:CHOWN"},
			Missing: []string{"cap:NET_ADMIN", "privileged"}, Allow: "swingbridge app allow shop cap:NET_ADMIN privileged",
		}
		if diff := cmp.Diff(want, planOf(t, w, sha).Permissions); diff != "" {
			t.Errorf("the plan's (-want +got):\n%s", diff)
		}
		d := deploy(t, w, sha, pipeline.Push)
		wantState(t, w, d.ID, pipeline.Failed)
		end := "\n\nPermissions, compared with the live release of " + pipeline.Short(live.Commit) + ":\n- cap:CHOWN\n+ cap:NET_ADMIN (not allowed)\n" +
			"  cap:NET_RAW\n+ privileged (not allowed)\nTo allow it: swingbridge app allow shop cap:NET_ADMIN privileged"
		reason := reasonOf(t, w, d.ID)
		if !strings.HasSuffix(reason, end) || !strings.Contains(reason, "cap_add") {
			t.Errorf("the reason is\n%s", reason)
		}
		if log := w.Ledger().LogText(d.ID); !strings.Contains(log, "+ cap:NET_ADMIN (not allowed)") {
			t.Errorf("the log is\n%s", log)
		}
		wantServed(t, w, live.ID)
	})
}

func TestPermissions_ThatAreNewAndAllowedAreSaidInTheLog(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		allowed(t, w)
		w.Ledger().SetOverlay("services: {web: {cap_add: [NET_RAW]}}")
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		if log := w.Ledger().LogText(d.ID); !strings.Contains(log, "  permission: - cap:CHOWN\n") || strings.Contains(log, "cap:NET_RAW") {
			t.Errorf("the log is\n%s", log)
		}
		same := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		if log := w.Ledger().LogText(same.ID); strings.Contains(log, "permission") {
			t.Errorf("nothing of it changed, and the log is\n%s", log)
		}
	})
}

func TestPermissions_OfFilesWithOtherProblemsAreNotSaidToBeGone(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		allowed(t, w)
		w.Ledger().SetOverlay("services: {web: {cap_add: [NET_ADMIN], stop_signal: [1]}}")
		d := deploy(t, w, w.Forge().Push("main", nil), pipeline.Push)
		wantState(t, w, d.ID, pipeline.Failed)
		if reason := reasonOf(t, w, d.ID); strings.Contains(reason, "\n- cap:CHOWN") {
			t.Errorf("the reason is\n%s", reason)
		}
	})
}

func TestPermissions_ShowNoValueOfAVariable(t *testing.T) {
	t.Parallel()
	inWorld(t, func(t *testing.T, w *pipelinetest.World, _ pipeline.Deployment) {
		w.Ledger().SetEnv(map[string]string{"PLACE": "/srv/hushhush"})
		w.Ledger().SetOverlay("services: {web: {volumes: [\"${PLACE}:/data\"]}}")
		sha := w.Forge().Push("main", nil)
		sum := planOf(t, w, sha)
		if got := sum.Permissions.String(); !strings.Contains(got, "+ bind:${PLACE} (not allowed)") ||
			!strings.Contains(got, "with the values filled in: swingbridge app allow shop 'bind:${PLACE}'") {
			t.Errorf("the plan has\n%s", got)
		}
		d := deploy(t, w, sha, pipeline.Push)
		if reason := reasonOf(t, w, d.ID); strings.Contains(reason, "hushhush") || !strings.Contains(reason, "+ bind:${PLACE}") {
			t.Errorf("the reason is\n%s", reason)
		}
	})
}

func reasonOf(t *testing.T, w *pipelinetest.World, id string) string {
	t.Helper()
	d, err := w.Ledger().Deployment(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d.Reason
}
