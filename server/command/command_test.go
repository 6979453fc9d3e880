package command_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/command"
)

// desk is a small office in memory: one app, its deployments, who was told
// what.
type desk struct {
	app         pipeline.App
	deployments []pipeline.Deployment // newest first
	queued      []pipeline.NewDeployment
	canceled    map[string]error // deployment to cause
	audit       []pipeline.AuditEntry
	auditErr    error
	env         map[string]string
	files       map[string][]byte
	envThen     map[string]string // at any earlier version
	envVersions map[string]int64  // by release
	lastGood    string            // id; empty: there is none
	reads       []string          // of heads, in order
	accepted    bool              // what is watched becomes live a moment before its run is told
}

func (d *desk) AppByName(_ context.Context, name string) (pipeline.App, error) {
	if name != d.app.Name {
		return pipeline.App{}, pipeline.ErrNotFound
	}
	return d.app, nil
}
func (d *desk) AppByID(context.Context, string) (pipeline.App, error) { return d.app, nil }
func (d *desk) CreateApp(_ context.Context, a pipeline.App) (pipeline.App, error) {
	if err := a.Validate(); err != nil {
		return a, err
	}
	a.Allow = a.Permissions()
	d.app = a
	return a, nil
}
func (d *desk) UpdateApp(ctx context.Context, a pipeline.App) (pipeline.App, error) {
	return d.CreateApp(ctx, a)
}
func (d *desk) SetMode(_ context.Context, _ string, m pipeline.Mode) error {
	d.app.Mode = m
	return nil
}
func (d *desk) RemoveApp(context.Context, string) error { d.app = pipeline.App{}; return nil }

func (d *desk) Deployments(_ context.Context, q pipeline.DeploymentQuery) ([]pipeline.Deployment, error) {
	var out []pipeline.Deployment
	for _, one := range d.deployments {
		for _, s := range q.States {
			if one.State == s {
				out = append(out, one)
			}
		}
	}
	return out, nil
}

func (d *desk) Deployment(_ context.Context, id string) (pipeline.Deployment, error) {
	for _, one := range d.deployments {
		if one.ID == id {
			return one, nil
		}
	}
	return pipeline.Deployment{}, pipeline.ErrNotFound
}

func (d *desk) LiveDeployment(context.Context, string) (pipeline.Deployment, error) {
	for _, one := range d.deployments {
		if one.State == pipeline.Live {
			return one, nil
		}
	}
	return pipeline.Deployment{}, pipeline.ErrNotFound
}

func (d *desk) LastGood(ctx context.Context, _ string) (pipeline.Deployment, error) {
	return d.Deployment(ctx, d.lastGood)
}

func (d *desk) Release(_ context.Context, id string) (pipeline.Release, error) {
	return pipeline.Release{ID: id, EnvVersion: d.envVersions[id]}, nil
}

func (d *desk) QueueDeployment(_ context.Context, n pipeline.NewDeployment) (pipeline.Deployment, error) {
	d.queued = append(d.queued, n)
	return pipeline.Deployment{ID: "new", Commit: n.Commit, State: pipeline.Queued}, nil
}

func (d *desk) CancelQueued(_ context.Context, id, _ string) (bool, error) {
	for i := range d.deployments {
		if d.deployments[i].ID == id && d.deployments[i].State == pipeline.Queued {
			d.deployments[i].State = pipeline.Canceled
			return true, nil
		}
	}
	return false, nil
}

func (d *desk) Resolve(_ context.Context, id string, as pipeline.State, _ string) error {
	for i := range d.deployments {
		if d.deployments[i].ID == id {
			d.deployments[i].State = as
		}
	}
	return nil
}

func (d *desk) Env(context.Context, string) (map[string]string, int64, error) { return d.env, 1, nil }
func (d *desk) EnvAt(context.Context, string, int64) (map[string]string, error) {
	return d.envThen, nil
}
func (d *desk) FilesAt(context.Context, string, int64) (map[string][]byte, error) {
	return d.files, nil
}
func (d *desk) SetFile(_ context.Context, _, path string, content []byte) (int64, error) {
	d.files[path] = content
	return 4, nil
}
func (d *desk) UnsetFile(_ context.Context, _, path string) (int64, error) {
	delete(d.files, path)
	return 5, nil
}
func (d *desk) SetEnv(_ context.Context, _, name, value string) (int64, error) {
	d.env[name] = value
	return 2, nil
}
func (d *desk) UnsetEnv(_ context.Context, _, name string) (int64, error) {
	delete(d.env, name)
	return 3, nil
}

func (d *desk) AddAudit(_ context.Context, e pipeline.AuditEntry) error {
	d.audit = append(d.audit, e)
	return d.auditErr
}

func (d *desk) Cancel(_ context.Context, id string, cause error) (bool, error) {
	one, err := d.Deployment(context.Background(), id)
	if err != nil {
		return false, err
	}
	for i := range d.deployments {
		if d.deployments[i].ID == id && d.accepted {
			d.deployments[i].State = pipeline.Live // its run still drains the old color
		}
	}
	if one.State.Ended() || one.State == pipeline.Queued {
		return false, nil
	}
	d.canceled[id] = cause
	return true, nil
}

func setup(deployments ...pipeline.Deployment) (*desk, *command.Commands) {
	d := &desk{
		app:         pipeline.App{ID: "app1", Name: "shop", Repo: "octocat/shop", Branch: "main"},
		deployments: deployments, canceled: map[string]error{}, env: map[string]string{}, files: map[string][]byte{},
	}
	for i := range d.deployments {
		d.deployments[i].AppID, d.deployments[i].AppName = "app1", "shop"
	}
	return d, command.New(command.Options{
		Apps: d, Deployments: d, Environments: d, Auditor: d, Jobs: d,
		Added: func(pipeline.App) {}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
}

func ada() pipeline.Actor {
	return pipeline.Actor{Name: "ada", From: "192.0.2.1", Role: pipeline.Admin}
}

func TestRollback_GoesToTheLastGoodReleaseBeforeTheLiveOne(t *testing.T) {
	t.Parallel()
	at := time.Now()
	d, c := setup(
		pipeline.Deployment{ID: "d4", State: pipeline.Live, ReleaseID: "r4", LiveAt: at},
		pipeline.Deployment{ID: "d3", State: pipeline.Retired, ReleaseID: "r4", LiveAt: at},
		pipeline.Deployment{ID: "d2", State: pipeline.Retired, ReleaseID: "r2", LiveAt: at, Commit: "two", Subject: "The second"},
	)
	d.lastGood = "d2"
	if _, err := c.Rollback(t.Context(), ada(), "shop", ""); err != nil {
		t.Fatal(err)
	}
	want := pipeline.NewDeployment{AppID: "app1", Commit: "two", Subject: "The second", Trigger: pipeline.Rollback, Actor: "ada", ReleaseID: "r2"}
	if len(d.queued) != 1 || d.queued[0] != want {
		t.Errorf("queued %+v", d.queued)
	}
	if len(d.audit) != 1 || d.audit[0].Actor != "ada" || d.audit[0].From != "192.0.2.1" {
		t.Errorf("audit %+v", d.audit)
	}
}

func TestRollback_WhileWatchingTellsTheRun(t *testing.T) {
	t.Parallel()
	d, c := setup(pipeline.Deployment{ID: "d2", State: pipeline.Watching, ReleaseID: "r2"})
	if _, err := c.Rollback(t.Context(), ada(), "shop", ""); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(d.canceled["d2"], pipeline.ErrRollBack) || len(d.queued) != 0 {
		t.Errorf("told %v, queued %v", d.canceled, d.queued)
	}
}

func TestRollback_RefusesWhatNeverServedOrIsAnotherApps(t *testing.T) {
	t.Parallel()
	d, c := setup(pipeline.Deployment{ID: "d1", State: pipeline.Failed, ReleaseID: "r1"})
	if _, err := c.Rollback(t.Context(), ada(), "shop", "d1"); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("never served: %v", err)
	}
	d.deployments[0].AppID = "app2"
	if _, err := c.Rollback(t.Context(), ada(), "shop", "d1"); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("another app's: %v", err)
	}
	if _, err := c.Rollback(t.Context(), ada(), "shop", ""); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("nothing to go back to: %v", err)
	}
}

func TestCancel_EndsWhatIsOpenAndRefusesWhatIsOver(t *testing.T) {
	t.Parallel()
	d, c := setup(
		pipeline.Deployment{ID: "queued", State: pipeline.Queued},
		pipeline.Deployment{ID: "running", State: pipeline.Running},
		pipeline.Deployment{ID: "over", State: pipeline.Failed},
	)
	if got, err := c.Cancel(t.Context(), ada(), "queued"); err != nil || got.State != pipeline.Canceled {
		t.Errorf("queued: %s, %v", got.State, err)
	}
	if _, err := c.Cancel(t.Context(), ada(), "running"); err != nil || !errors.Is(d.canceled["running"], pipeline.ErrCanceled) {
		t.Errorf("running: %v, told %v", err, d.canceled)
	}
	if _, err := c.Cancel(t.Context(), ada(), "over"); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("over: %v", err)
	}
	if _, err := c.Cancel(t.Context(), ada(), "nobody"); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestCancel_RefusesWhatIsLiveAlsoWhereItBecameSoMeanwhile(t *testing.T) {
	t.Parallel()
	for _, from := range []pipeline.State{pipeline.Watching, pipeline.Live} {
		d, c := setup(pipeline.Deployment{ID: "d2", State: from})
		d.accepted = true
		if _, err := c.Cancel(t.Context(), ada(), "d2"); !errors.Is(err, pipeline.ErrConflict) {
			t.Errorf("%s: %v", from, err)
		}
		if len(d.audit) != 0 || from == pipeline.Live && len(d.canceled) != 0 {
			t.Errorf("%s: audit %+v, told %v", from, d.audit, d.canceled)
		}
	}
}

func TestRollback_OfOneAcceptedMeanwhileIsADeployment(t *testing.T) {
	t.Parallel()
	d, c := setup(
		pipeline.Deployment{ID: "d2", State: pipeline.Watching, ReleaseID: "r2"},
		pipeline.Deployment{ID: "d1", State: pipeline.Retired, ReleaseID: "r1", Commit: "one", LiveAt: time.Now()},
	)
	d.accepted, d.lastGood = true, "d1"
	got, err := c.Rollback(t.Context(), ada(), "shop", "")
	if err != nil || got.ID != "new" || len(d.queued) != 1 || d.queued[0].ReleaseID != "r1" {
		t.Errorf("answered %+v, %v, queued %+v", got, err, d.queued)
	}
	if len(d.audit) != 1 || d.audit[0].Action != "deployment.rollback" {
		t.Errorf("audit %+v", d.audit)
	}
}

func TestResolve_DecidesOnlyAboutStuckOnes(t *testing.T) {
	t.Parallel()
	_, c := setup(pipeline.Deployment{ID: "stuck", State: pipeline.Stuck}, pipeline.Deployment{ID: "live", State: pipeline.Live})
	if _, err := c.Resolve(t.Context(), ada(), "live", pipeline.Failed); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("live: %v", err)
	}
	if _, err := c.Resolve(t.Context(), ada(), "stuck", pipeline.Retired); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("as retired: %v", err)
	}
	if d, err := c.Resolve(t.Context(), ada(), "stuck", pipeline.RolledBack); err != nil || d.State != pipeline.RolledBack {
		t.Errorf("as rolled back: %s, %v", d.State, err)
	}
}

func TestDeploy_RefusesWhatIsNoCommit(t *testing.T) {
	t.Parallel()
	d, c := setup()
	for _, sha := range []string{"main", "9f31c02", "--upload-pack=x", "9f31c02d5e6b7a8c9d0e1f2a3b4c5d6e7f8a9b0g"} {
		if _, err := c.Deploy(t.Context(), ada(), "shop", sha, pipeline.Manual); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%s: %v", sha, err)
		}
	}
	if _, err := c.Deploy(t.Context(), ada(), "shop", "9F31C02d5e6b7a8c9d0e1f2a3b4c5d6e7f8a9b01", pipeline.Manual); err != nil {
		t.Error(err)
	}
	if len(d.queued) != 1 || d.queued[0].Actor != "ada" {
		t.Errorf("queued %+v", d.queued)
	}
}

func TestSetEnv_RefusesNamesThatNoShellTakes(t *testing.T) {
	t.Parallel()
	d, c := setup()
	for _, name := range []string{"", "1ST", "A-B", "A B", "A=B", "ÄÖ"} {
		if _, err := c.SetEnv(t.Context(), ada(), "shop", name, "x"); !errors.Is(err, pipeline.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := c.SetEnv(t.Context(), ada(), "shop", "SECRET_KEY", "hunter2"); err != nil {
		t.Error(err)
	}
	for _, e := range d.audit {
		if e.Target == "hunter2" || e.Detail == "hunter2" {
			t.Errorf("the value is in the audit log: %+v", e)
		}
	}
}

func TestAudit_AGapIsToldToTheOperator(t *testing.T) {
	t.Parallel()
	d, c := setup()
	d.auditErr = errors.New("disk full")
	if _, err := c.SetEnv(t.Context(), ada(), "shop", "NAME", "x"); err == nil {
		t.Error("nothing was said")
	}
}

func TestUpdateApp_SaysInTheAuditLogWhichPermissionsCameAndWent(t *testing.T) {
	t.Parallel()
	d, c := setup()
	d.app.Repo, d.app.Branch, d.app.Allow = "octo/shop", "main", []string{"cap:NET_ADMIN", "port:5432"}
	change := d.app
	change.Allow = []string{"port:5432", "privileged"}
	if _, err := c.UpdateApp(t.Context(), ada(), change); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateApp(t.Context(), ada(), change); err != nil {
		t.Fatal(err)
	}
	if got, want := d.audit[0].Detail, "allowed privileged, no longer allowed cap:NET_ADMIN"; got != want {
		t.Errorf("audited %q, want %q", got, want)
	}
	if got := d.audit[1].Detail; got != "" {
		t.Errorf("a change of nothing is audited as %q", got)
	}
	change.Allow = []string{"everything"}
	if _, err := c.UpdateApp(t.Context(), ada(), change); !errors.Is(err, pipeline.ErrInvalid) {
		t.Errorf("a word that is no permission: %v", err)
	}
}
