package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
)

func envAAD(appID, name string, version int64) string {
	return "env|" + appID + "|" + name + "|" + strconv.FormatInt(version, 10)
}

// SetEnv sets a variable of the app's environment and returns the version that
// the environment has with it. Older versions stay readable.
func (s *Store) SetEnv(ctx context.Context, appID, name, value string) (int64, error) {
	if !envName(name) {
		return 0, fmt.Errorf("%w variable name %q: use letters, digits and _, not a digit first", pipeline.ErrInvalid, name)
	}
	return s.changeEnv(ctx, appID, name, func(version int64) (any, error) {
		return s.o.Sealer.Seal([]byte(value), envAAD(appID, name, version))
	})
}

// UnsetEnv takes a variable out of the app's environment and returns the
// version without it. ErrNotFound if it is not set.
func (s *Store) UnsetEnv(ctx context.Context, appID, name string) (int64, error) {
	return s.changeEnv(ctx, appID, name, func(int64) (any, error) { return nil, nil })
}

func (s *Store) changeEnv(ctx context.Context, appID, name string, seal func(version int64) (any, error)) (version int64, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		app, err := findApp(ctx, t, "id", appID)
		if err != nil {
			return err
		}
		if err := t.QueryRowContext(ctx, `update apps set env_version = env_version + 1 where id = $1 returning env_version`,
			appID).Scan(&version); err != nil {
			return fmt.Errorf("next version: %w", err)
		}
		sealed, err := seal(version)
		if err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		if sealed == nil {
			if err := isSet(ctx, t, appID, name); err != nil {
				return err
			}
		}
		_, err = t.ExecContext(ctx, `insert into env (app_id, version, name, sealed, set_at) values ($1, $2, $3, $4, $5)`,
			appID, version, name, sealed, micros(s.now()))
		t.changed(Change{App: app.Name, AppID: app.ID})
		return err
	})
	if errors.Is(err, pipeline.ErrNotFound) {
		return 0, err // which says what is not there
	}
	if err != nil {
		return 0, fmt.Errorf("change the environment: %w", err)
	}
	return version, nil
}

func isSet(ctx context.Context, t *tx, appID, name string) error {
	rows, err := envRows(ctx, t, appID, int64(1)<<62)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Name == name {
			return nil
		}
	}
	if path, is := strings.CutPrefix(name, filePrefix); is {
		return fmt.Errorf("file %s: %w", path, pipeline.ErrNotFound)
	}
	return fmt.Errorf("variable %s: %w", name, pipeline.ErrNotFound)
}

type envRow struct {
	pipeline.EnvVar
	sealed []byte
}

// envRows are the variables that are set at a version, by name.
func envRows(ctx context.Context, q querier, appID string, version int64) ([]envRow, error) {
	rows, err := collect(ctx, q, func(r scanner) (envRow, error) {
		var v envRow
		err := r.Scan(&v.Name, &v.Version, timeColumn{&v.UpdatedAt}, &v.sealed)
		return v, err
	}, `select e.name, e.version, e.set_at, e.sealed from env e
		where e.app_id = $1 and e.sealed is not null and e.version = (
			select max(l.version) from env l where l.app_id = $1 and l.name = e.name and l.version <= $2)
		order by e.name`, appID, version)
	if err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	return rows, nil
}

// Env returns the app's variables in the clear, and the version they are.
func (s *Store) Env(ctx context.Context, appID string) (env map[string]string, version int64, err error) {
	err = s.read(ctx, func(q querier) error {
		err := q.QueryRowContext(ctx, `select env_version from apps where id = $1`, appID).Scan(&version)
		if err != nil {
			return found(err, "app %s", appID)
		}
		env, err = s.envAt(ctx, q, appID, version)
		return err
	})
	return env, version, err
}

// EnvAt returns the app's variables as they were at a version.
func (s *Store) EnvAt(ctx context.Context, appID string, version int64) (map[string]string, error) {
	return s.envAt(ctx, s.db.Read, appID, version)
}

func (s *Store) envAt(ctx context.Context, q querier, appID string, version int64) (map[string]string, error) {
	rows, err := envRows(ctx, q, appID, version)
	if err != nil {
		return nil, err
	}
	env := make(map[string]string, len(rows))
	for _, r := range rows {
		if strings.HasPrefix(r.Name, filePrefix) {
			continue
		}
		value, err := s.o.Sealer.Open(r.sealed, envAAD(appID, r.Name, r.Version))
		if err != nil {
			return nil, fmt.Errorf("open the sealed variable %s: %w", r.Name, err)
		}
		env[r.Name] = string(value)
	}
	return env, nil
}

// EnvVars lists the app's variables by name, without their values.
func (s *Store) EnvVars(ctx context.Context, appID string) ([]pipeline.EnvVar, error) {
	rows, err := envRows(ctx, s.db.Read, appID, int64(1)<<62)
	if err != nil {
		return nil, err
	}
	vars := make([]pipeline.EnvVar, 0, len(rows))
	for _, r := range rows {
		if !strings.HasPrefix(r.Name, filePrefix) {
			vars = append(vars, r.EnvVar)
		}
	}
	return vars, nil
}

// envName reports whether the name is one that a POSIX shell can set.
func envName(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
