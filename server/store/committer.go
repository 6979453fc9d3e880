package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// committer holds the statements that every delivery runs, prepared once on
// the write connection.
type committer struct {
	save, undo, release *sql.Stmt

	stored, apps, open, insert *sql.Stmt
}

func (c *committer) prepare(ctx context.Context, db *sql.DB) error {
	if c.insert != nil {
		return nil
	}
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&c.save, `savepoint delivery`},
		{&c.undo, `rollback to savepoint delivery`},
		{&c.release, `release savepoint delivery`},
		{&c.stored, `select id from deliveries where id = $1`},
		{&c.apps, selectStandingApps},
		{&c.open, selectDeployment + whereOpen},
		{&c.insert, `insert into deliveries (id, event, action, repo, repo_id, ref, commit_sha, sender, received_at, outcome,
			reason, message, verdicts, body) values (` + places(1, 14) + `)`},
	} {
		if *s.stmt != nil {
			continue
		}
		var err error
		if *s.stmt, err = db.PrepareContext(ctx, s.text); err != nil { //nolint:sqlclosecheck // close does
			return fmt.Errorf("prepare: %w", err)
		}
	}
	return nil
}

func (c *committer) close() error {
	var errs []error
	for _, s := range []*sql.Stmt{c.save, c.undo, c.release, c.stored, c.apps, c.open, c.insert} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}
