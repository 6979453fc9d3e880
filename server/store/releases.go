package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

func releaseAAD(appID, id string) string { return "release|" + appID + "|" + id }

// saveRelease stores the release, its stack sealed, and names it in the
// deployment. Saving the same release again changes nothing: it is immutable.
func (s *Store) saveRelease(ctx context.Context, t *tx, d pipeline.Deployment, r pipeline.Release) error {
	if r.ID == "" || r.AppID != d.AppID {
		return fmt.Errorf("%w: release %q of app %s for a deployment of app %s", pipeline.ErrInvalid, r.ID, r.AppID, d.AppID)
	}
	if r.CreatedAt.IsZero() {
		r.CreatedAt = s.now()
	}
	if err := s.insertRelease(ctx, t, r); err != nil {
		return err
	}
	_, err := t.ExecContext(ctx, `update deployments set release_id = $1 where id = $2`, r.ID, d.ID)
	return err
}

func (s *Store) insertRelease(ctx context.Context, t *tx, r pipeline.Release) error {
	images, err := toJSON(r.Images)
	if err != nil {
		return err
	}
	stack, err := json.Marshal(r.Stack)
	if err != nil {
		return fmt.Errorf("write stack: %w", err)
	}
	sealed, err := s.o.Sealer.Seal(stack, releaseAAD(r.AppID, r.ID))
	if err != nil {
		return fmt.Errorf("seal stack: %w", err)
	}
	_, err = t.ExecContext(ctx, `insert into releases (id, app_id, commit_sha, images, env_version, created_at, sealed)
		values (`+places(1, 7)+`) on conflict (id) do nothing`,
		r.ID, r.AppID, r.Commit, images, r.EnvVersion, micros(r.CreatedAt), sealed)
	return err
}

const selectRelease = `select r.id, r.app_id, r.commit_sha, r.images, r.env_version, r.created_at, r.sealed from releases r `

type sealedRelease struct {
	pipeline.Release
	sealed []byte
}

func scanRelease(r scanner) (sealedRelease, error) {
	var rel sealedRelease
	err := r.Scan(&rel.ID, &rel.AppID, &rel.Commit, jsonColumn{&rel.Images}, &rel.EnvVersion, timeColumn{&rel.CreatedAt}, &rel.sealed)
	return rel, err
}

func (s *Store) openRelease(r sealedRelease) (pipeline.Release, error) {
	stack, err := s.o.Sealer.Open(r.sealed, releaseAAD(r.AppID, r.ID))
	if err != nil {
		return pipeline.Release{}, fmt.Errorf("open the sealed stack of release %s: %w", r.ID, err)
	}
	if err := json.Unmarshal(stack, &r.Stack); err != nil {
		return pipeline.Release{}, fmt.Errorf("read the stack of release %s: %w", r.ID, err)
	}
	return r.Release, nil
}

// Release finds a release and opens its stack.
func (s *Store) Release(ctx context.Context, id string) (pipeline.Release, error) {
	r, err := scanRelease(s.db.Read.QueryRowContext(ctx, selectRelease+`where r.id = $1`, id))
	if err != nil {
		return pipeline.Release{}, found(err, "release %s", id)
	}
	return s.openRelease(r)
}

// KeptReleases are the app's n releases that visitors were moved to last, and
// the live one, whatever its age, newest first. One that carries on another's
// stack is no further release to go back to.
func (s *Store) KeptReleases(ctx context.Context, appID string, n int) ([]pipeline.Release, error) {
	rows, err := collect(ctx, s.db.Read, scanRelease, selectRelease+`where r.id in (
			select release_id from deployments where app_id = $1 and live_at <> 0 and state <> 'rolled_back' and carries = '' and release_id is not null
			group by release_id order by max(live_at) desc, release_id desc limit $2)
		or r.id in (select release_id from deployments where app_id = $1 and state = 'live')
		order by (select max(live_at) from deployments where release_id = r.id) desc, r.id desc`, appID, max(n, 0))
	if err != nil {
		return nil, fmt.Errorf("list kept releases: %w", err)
	}
	out := make([]pipeline.Release, 0, len(rows))
	for _, row := range rows {
		r, err := s.openRelease(row)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}
