package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

// ErrSealed is wrapped when rows cannot be opened with the keys that are known.
var ErrSealed = errors.New("sealed with a key that is not known")

// CheckSeals opens every sealed row once. An error wrapping ErrSealed names how
// many do not open and the first of them: the server must not start then, or it
// would fail at the next deployment or rollback instead.
func (s *Store) CheckSeals(ctx context.Context) error {
	var c sealCheck
	err := s.read(ctx, func(q querier) error {
		return errors.Join(s.checkEnvSeals(ctx, q, &c), s.checkReleaseSeals(ctx, q, &c))
	})
	if err != nil {
		return fmt.Errorf("check sealed rows: %w", err)
	}
	if c.bad == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d sealed rows do not open, first %s: %w (%w). Give the server the key that sealed them: "+
		"secret.key of this data folder, SWINGBRIDGE_SECRET_KEY, or the old key beside the new one",
		c.bad, c.seen, c.first, ErrSealed, c.cause)
}

type sealCheck struct {
	seen, bad int
	first     string
	cause     error
}

func (c *sealCheck) note(what string, err error) {
	c.seen++
	if err == nil {
		return
	}
	if c.bad++; c.bad == 1 {
		c.first, c.cause = what, err
	}
}

func (s *Store) checkEnvSeals(ctx context.Context, q querier, c *sealCheck) error {
	_, err := collect(ctx, q, func(r scanner) (struct{}, error) {
		var appID, app, name string
		var version int64
		var sealed []byte
		if err := r.Scan(&appID, &app, &name, &version, &sealed); err != nil {
			return struct{}{}, err
		}
		_, err := s.o.Sealer.Open(sealed, envAAD(appID, name, version))
		c.note(fmt.Sprintf("variable %s of app %s, version %d", name, app, version), err)
		return struct{}{}, nil
	}, `select e.app_id, a.name, e.name, e.version, e.sealed from env e join apps a on a.id = e.app_id
		where e.sealed is not null order by e.app_id, e.version`)
	return err
}

func (s *Store) checkReleaseSeals(ctx context.Context, q querier, c *sealCheck) error {
	_, err := collect(ctx, q, func(r scanner) (struct{}, error) {
		rel, err := scanRelease(r)
		if err != nil {
			return struct{}{}, err
		}
		_, err = s.o.Sealer.Open(rel.sealed, releaseAAD(rel.AppID, rel.ID))
		c.note(fmt.Sprintf("release %s of commit %s", rel.ID, pipeline.Short(rel.Commit)), err)
		return struct{}{}, nil
	}, selectRelease+`order by r.id`)
	return err
}
