package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

const appColumns = `id, name, repo, repo_id, branch, compose, overlay, routes, redirects, paused, mode, allow, created_at, updated_at`

func scanApp(r scanner) (pipeline.App, error) {
	var a pipeline.App
	err := r.Scan(&a.ID, &a.Name, &a.Repo, &a.RepoID, &a.Branch, jsonColumn{&a.Compose}, &a.Overlay,
		jsonColumn{&a.Routes}, jsonColumn{&a.Redirects}, &a.Paused, jsonColumn{&a.Mode}, jsonColumn{&a.Allow}, timeColumn{&a.CreatedAt}, timeColumn{&a.UpdatedAt})
	return a, err
}

// CreateApp stores a new app and gives it its id. ErrExists if its name, or
// the host and path of one of its routes, is taken.
func (s *Store) CreateApp(ctx context.Context, a pipeline.App) (pipeline.App, error) {
	if err := a.Validate(); err != nil {
		return pipeline.App{}, err
	}
	a.CreatedAt, a.Mode, a.Allow = s.now(), pipeline.Mode{}, a.Permissions()
	a.UpdatedAt = a.CreatedAt
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		id, err := s.newID(ctx, t, "apps")
		if err != nil {
			return err
		}
		a.ID = id
		if err := checkRoutes(ctx, t, a); err != nil {
			return err
		}
		lists, err := listsOf(a)
		if err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `insert into apps (`+appColumns+`) values (`+places(1, 14)+`)`, a.ID, a.Name, a.Repo,
			a.RepoID, a.Branch, lists.compose, a.Overlay, lists.routes, lists.redirects, a.Paused, `{}`, lists.allow, micros(a.CreatedAt), micros(a.UpdatedAt))
		t.changed(Change{App: a.Name, AppID: a.ID})
		return taken(err, a)
	})
	if err != nil {
		return pipeline.App{}, fmt.Errorf("create app: %w", err)
	}
	return a, nil
}

// UpdateApp stores what an operator changed: everything but id and mode. Another
// repository forgets the old one's numeric id; another repository or branch
// forgets the head that was seen. Pausing holds queued automatic deployments
// back, its end lets them go.
func (s *Store) UpdateApp(ctx context.Context, a pipeline.App) (pipeline.App, error) {
	if err := a.Validate(); err != nil {
		return pipeline.App{}, err
	}
	a.Allow = a.Permissions()
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		was, err := findApp(ctx, t, "id", a.ID)
		if err != nil {
			return err
		}
		if moved := !strings.EqualFold(a.Repo, was.Repo); moved && a.RepoID == was.RepoID {
			a.RepoID = 0
		}
		a.CreatedAt, a.UpdatedAt, a.Mode = was.CreatedAt, s.now(), was.Mode
		if err := checkRoutes(ctx, t, a); err != nil {
			return err
		}
		if err := updateApp(ctx, t, a, was); err != nil {
			return err
		}
		t.changed(Change{App: a.Name, AppID: a.ID})
		if a.Paused == was.Paused {
			return nil
		}
		return s.settleQueue(ctx, t, a)
	})
	if err != nil {
		return pipeline.App{}, fmt.Errorf("update app: %w", err)
	}
	return a, nil
}

func updateApp(ctx context.Context, t *tx, a, was pipeline.App) error {
	lists, err := listsOf(a)
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `update apps set name = $1, repo = $2, repo_id = $3, branch = $4, compose = $5, overlay = $6,
		routes = $7, redirects = $8, paused = $9, allow = $10, updated_at = $11 where id = $12`,
		a.Name, a.Repo, a.RepoID, a.Branch, lists.compose, a.Overlay, lists.routes, lists.redirects, a.Paused, lists.allow, micros(a.UpdatedAt), a.ID)
	if err != nil {
		return taken(err, a)
	}
	if strings.EqualFold(a.Repo, was.Repo) && a.Branch == was.Branch {
		return nil
	}
	_, err = t.ExecContext(ctx, `update apps set seen_head = '' where id = $1`, a.ID)
	return err
}

// RemoveApp takes an app off the list; its history stays and its name is free.
// Queued deployments end canceled, a live one retired, a stuck one failed, and
// its addresses become free. ErrConflict while one runs: it is canceled first.
func (s *Store) RemoveApp(ctx context.Context, id string) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		a, err := findApp(ctx, t, "id", id)
		if err != nil {
			return err
		}
		open, err := openDeployments(ctx, t, id)
		if err != nil {
			return err
		}
		for _, d := range open {
			if err := s.endForRemoval(ctx, t, d); err != nil {
				return err
			}
			if err := freeAddresses(ctx, t, d.ID); err != nil {
				return err
			}
		}
		if _, err := t.ExecContext(ctx, `delete from subnets where app_id = $1`, id); err != nil {
			return fmt.Errorf("free subnet: %w", err)
		}
		_, err = t.ExecContext(ctx, `update apps set removed_at = $1, mode = '{}' where id = $2`, micros(s.now()), id)
		t.changed(Change{App: a.Name, AppID: a.ID})
		return err
	})
	if err != nil {
		return fmt.Errorf("remove app: %w", err)
	}
	return nil
}

func (s *Store) endForRemoval(ctx context.Context, t *tx, d pipeline.Deployment) error {
	m := pipeline.Move{Deployment: d.ID, From: d.State, Reason: "the app was removed", At: s.now()}
	switch d.State {
	case pipeline.Queued:
		m.To = pipeline.Canceled
	case pipeline.Live:
		m.To = pipeline.Retired
	case pipeline.Stuck:
		m.To = pipeline.Failed
	default:
		return fmt.Errorf("deployment %s is %s: %w", d.ID, d.State, pipeline.ErrConflict)
	}
	return s.move(ctx, t, m)
}

// SetMode stores how an operator lets the app's visitors be met. ErrNotFound if
// it is not there or was removed.
func (s *Store) SetMode(ctx context.Context, id string, m pipeline.Mode) error {
	if err := m.Validate(); err != nil {
		return err
	}
	text, err := toJSON(m)
	if err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		a, err := findApp(ctx, t, "id", id)
		if err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `update apps set mode = $1 where id = $2`, text, id)
		t.changed(Change{App: a.Name, AppID: a.ID})
		return err
	})
	if err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	return nil
}

// Apps lists the apps by name.
func (s *Store) Apps(ctx context.Context) ([]pipeline.App, error) {
	apps, err := collect(ctx, s.db.Read, scanApp, `select `+appColumns+` from apps where removed_at = 0 order by name`)
	if err != nil {
		return nil, fmt.Errorf("list apps: %w", err)
	}
	return apps, nil
}

// AppByName finds an app. ErrNotFound if it is not there or was removed.
func (s *Store) AppByName(ctx context.Context, name string) (pipeline.App, error) {
	return findApp(ctx, s.db.Read, "name", name)
}

// AppByID finds an app, also one that was removed: its history still names it,
// and what is left to report of it must be.
func (s *Store) AppByID(ctx context.Context, id string) (pipeline.App, error) {
	a, err := scanApp(s.db.Read.QueryRowContext(ctx, `select `+appColumns+` from apps where id = $1`, id))
	return a, found(err, "app %s", id)
}

func findApp(ctx context.Context, q querier, column, value string) (pipeline.App, error) {
	a, err := scanApp(q.QueryRowContext(ctx,
		`select `+appColumns+` from apps where `+column+` = $1 and removed_at = 0`, value))
	return a, found(err, "app %s", value)
}

// checkRoutes refuses a host and path that another app has, and a host that
// one of them redirects: a redirect has all of its host.
func checkRoutes(ctx context.Context, t *tx, a pipeline.App) error {
	apps, err := collect(ctx, t, scanApp, `select `+appColumns+` from apps where removed_at = 0 and id <> $1`, a.ID)
	if err != nil {
		return fmt.Errorf("read other apps' routes: %w", err)
	}
	others := placesOf(apps)
	for _, r := range a.Routes {
		if name, is := others.routes[r.Host+r.Prefix()]; is {
			return fmt.Errorf("route %s%s belongs to app %s: %w", r.Host, r.Prefix(), name, pipeline.ErrExists)
		}
		if name, is := others.redirected[r.Host]; is {
			return fmt.Errorf("route %s%s: app %s redirects that host: %w", r.Host, r.Prefix(), name, pipeline.ErrExists)
		}
	}
	for _, r := range a.Redirects {
		if name, is := others.redirected[r.Host]; is {
			return fmt.Errorf("redirect of %s belongs to app %s: %w", r.Host, name, pipeline.ErrExists)
		}
		if name, is := others.routed[r.Host]; is {
			return fmt.Errorf("redirect of %s: app %s has a route there: %w", r.Host, name, pipeline.ErrExists)
		}
	}
	for _, r := range pipeline.Circling(slices.Concat(a.Redirects, others.redirects)) {
		if slices.Contains(a.Redirects, r) {
			return fmt.Errorf("%w app: redirect %s goes round in circles with those of another app", pipeline.ErrInvalid, r)
		}
	}
	return nil
}

// takenPlaces are those under which visitors reach apps, each with the app's name.
type takenPlaces struct {
	routes     map[string]string // by host and path
	routed     map[string]string // by host
	redirected map[string]string // by host
	redirects  []stack.Redirect
}

func placesOf(apps []pipeline.App) takenPlaces {
	p := takenPlaces{routes: map[string]string{}, routed: map[string]string{}, redirected: map[string]string{}}
	for _, a := range apps {
		for _, r := range a.Routes {
			p.routes[r.Host+r.Prefix()], p.routed[r.Host] = a.Name, a.Name
		}
		for _, r := range a.Redirects {
			p.redirected[r.Host] = a.Name
		}
		p.redirects = append(p.redirects, a.Redirects...)
	}
	return p
}

func taken(err error, a pipeline.App) error {
	if isUnique(err) {
		return fmt.Errorf("an app named %s: %w", a.Name, pipeline.ErrExists)
	}
	return err
}

// appLists are an app's lists as JSON.
type appLists struct{ compose, routes, redirects, allow string }

func listsOf(a pipeline.App) (out appLists, err error) {
	if out.compose, err = toJSON(a.Compose); err != nil {
		return out, err
	}
	if out.routes, err = toJSON(a.Routes); err != nil {
		return out, err
	}
	if out.redirects, err = toJSON(a.Redirects); err != nil {
		return out, err
	}
	out.allow, err = toJSON(a.Allow)
	return out, err
}
