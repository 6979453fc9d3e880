package api

import (
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// The functions here turn what the domain knows into what is told.

func appJSON(app pipeline.App, drift []pipeline.Drift, now time.Time) App {
	return App{
		ID: app.ID, Name: app.Name, Repo: app.Repo, Branch: app.Branch,
		Compose: filled(app.Compose), Overlay: app.Overlay, Routes: filled(app.Routes), Redirects: filled(app.Redirects),
		Paused: app.Paused, Mode: modeJSON(app.Mode.At(now)), Allow: filled(app.Allow), Drift: mapped(drift, driftJSON),
		CreatedAt: app.CreatedAt.UTC(), UpdatedAt: app.UpdatedAt.UTC(),
	}
}

func driftJSON(d pipeline.Drift) Drift {
	return Drift{Service: d.Service, Container: d.Container, What: d.What, Fix: d.Fix, Since: d.Since.UTC()}
}

func modeJSON(m pipeline.Mode) Mode {
	out := Mode{Kind: m.Kind.String(), Page: m.Page, Until: m.Until.UTC()}
	if m.Wait != 0 {
		out.Wait = m.Wait.String()
	}
	return out
}

// onto returns the app with the change made to it.
func (c AppChange) onto(app pipeline.App) pipeline.App {
	put(&app.Name, c.Name)
	put(&app.Repo, c.Repo)
	put(&app.Branch, c.Branch)
	put(&app.Compose, c.Compose)
	put(&app.Overlay, c.Overlay)
	put(&app.Routes, c.Routes)
	put(&app.Redirects, c.Redirects)
	put(&app.Paused, c.Paused)
	put(&app.Allow, c.Allow)
	return app
}

func put[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func deploymentJSON(d pipeline.Deployment, now time.Time) Deployment {
	out := Deployment{
		ID: d.ID, App: d.AppName, Commit: d.Commit, Subject: d.Subject, Trigger: d.Trigger, Actor: d.Actor,
		DeliveryID: d.DeliveryID, ReleaseID: d.ReleaseID, Carries: d.Carries, State: d.State, Color: d.Color, Attempt: d.Attempt,
		Reason: d.Reason, CreatedAt: d.CreatedAt.UTC(), StartedAt: d.StartedAt.UTC(), LiveAt: d.LiveAt.UTC(),
		EndedAt: d.EndedAt.UTC(), Steps: make([]Step, 0, len(d.Steps)),
	}
	for _, s := range d.Steps {
		end := s.EndedAt
		if end.IsZero() {
			end = now
		}
		out.Steps = append(out.Steps, Step{
			Name: s.Name, State: s.State, Attempt: s.Attempt, StartedAt: s.StartedAt.UTC(),
			MS: max(0, end.Sub(s.StartedAt).Milliseconds()), Detail: s.Detail, Error: s.Error, LogOffset: s.LogOffset,
		})
	}
	return out
}

func deliveryJSON(d pipeline.Delivery) Delivery {
	out := Delivery{
		ID: d.ID, Event: d.Event, Action: d.Action, Repo: d.Repo, Ref: d.Ref, Commit: d.Commit, Sender: d.Sender,
		ReceivedAt: d.ReceivedAt.UTC(), Outcome: d.Outcome, Reason: d.Reason, Message: d.Message,
	}
	for _, v := range d.Apps {
		out.Apps = append(out.Apps, Verdict{
			App: v.App, Outcome: v.Outcome, Reason: v.Reason, Message: v.Message, DeploymentID: v.DeploymentID,
		})
		if out.DeploymentID == "" && (v.Outcome == d.Outcome || d.Outcome == pipeline.OutcomeDuplicate) {
			out.DeploymentID = v.DeploymentID
		}
	}
	return out
}

func envJSON(v pipeline.EnvVar) EnvVar {
	return EnvVar{Name: v.Name, Version: v.Version, UpdatedAt: v.UpdatedAt.UTC()}
}

func fileJSON(f pipeline.HeldFile) File {
	return File{Name: f.Path, Version: f.Version, Size: &f.Size, UpdatedAt: f.UpdatedAt.UTC()}
}

func serviceJSON(s pipeline.ServiceStatus) Service {
	return Service{
		Name: s.Name, Replica: s.Replica, Color: s.Color, Commit: s.Commit, Deployment: s.Deployment, Health: s.Health,
		Status: s.Status, Restarts: s.Restarts, StartedAt: s.StartedAt.UTC(), Live: s.Live,
	}
}

func planJSON(p pipeline.PlanSummary) Plan {
	return Plan{
		Commit: p.Commit, Build: filled(p.Build), Pull: filled(p.Pull), Release: filled(p.Release),
		Create: filled(p.Create), Replace: filled(p.Replace), Blink: filled(p.Blink), Keep: filled(p.Keep),
		Aside: filled(p.Aside), Notes: filled(p.Notes), Missing: filled(p.Missing),
		Unchanged:   p.Unchanged,
		Permissions: permissionJSON(p.Permissions),
	}
}

func permissionJSON(d pipeline.PermissionDiff) PermissionDiff {
	return PermissionDiff{
		Live: d.Live, Had: filled(d.Had), New: filled(d.New), Gone: filled(d.Gone), Missing: filled(d.Missing), Allow: d.Allow,
	}
}

func auditJSON(e pipeline.AuditEntry) AuditEntry {
	return AuditEntry{
		ID: e.ID, At: e.At.UTC(), Actor: e.Actor, From: e.From, Action: e.Action,
		App: e.App, Target: e.Target, Detail: e.Detail,
	}
}

func tokenJSON(t pipeline.Token) Token {
	return Token{
		ID: t.ID, Name: t.Name, Role: t.Role, CreatedAt: t.CreatedAt.UTC(),
		RevokedAt: t.RevokedAt.UTC(), UsedAt: t.UsedAt.UTC(),
	}
}

func changeJSON(e Event, app string) Change {
	return Change{ID: e.ID, Kind: e.Kind, App: app, Deployment: e.Deployment, State: e.State, At: e.At.UTC()}
}

// filled makes an empty list of no list, so that JSON says [] and not null.
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func mapped[A, B any](list []A, to func(A) B) []B {
	out := make([]B, 0, len(list))
	for _, item := range list {
		out = append(out, to(item))
	}
	return out
}
