package store

import (
	"context"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

// AddAudit appends a line to the audit log, giving it its id and, if it has
// none, its time.
func (s *Store) AddAudit(ctx context.Context, e pipeline.AuditEntry) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error { return s.addAudit(ctx, t, e) })
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

func (s *Store) addAudit(ctx context.Context, t *tx, e pipeline.AuditEntry) error {
	if e.At.IsZero() {
		e.At = s.now()
	}
	id, err := s.newID(ctx, t, "audit")
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `insert into audit (id, at, actor, from_addr, action, app, target, detail) values (`+places(1, 8)+`)`,
		id, micros(e.At), e.Actor, e.From, e.Action, e.App, e.Target, e.Detail)
	return err
}

// Audit lists the audit log newest first.
func (s *Store) Audit(ctx context.Context, p pipeline.Page) ([]pipeline.AuditEntry, error) {
	before := p.After
	if before == "" {
		before = "~" // sorts after every id
	}
	list, err := collect(ctx, s.db.Read, func(r scanner) (pipeline.AuditEntry, error) {
		var e pipeline.AuditEntry
		err := r.Scan(&e.ID, timeColumn{&e.At}, &e.Actor, &e.From, &e.Action, &e.App, &e.Target, &e.Detail)
		return e, err
	}, `select id, at, actor, from_addr, action, app, target, detail from audit
		where id < $1 order by id desc limit $2`, before, limit(p))
	if err != nil {
		return nil, fmt.Errorf("list audit log: %w", err)
	}
	return list, nil
}
