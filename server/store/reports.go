package store

import (
	"context"
	"fmt"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

const reportColumns = `deployment_id, target, wanted, sent, remote_id, tries, next_at, last_error`

func scanReport(r scanner) (pipeline.Report, error) {
	var p pipeline.Report
	err := r.Scan(&p.Deployment, &p.Target, &p.Wanted, &p.Sent, &p.RemoteID, &p.Tries, timeColumn{&p.NextAt}, &p.LastError)
	return p, err
}

// DueReports lists outbox rows whose newest wanted version was not sent and
// whose time has come, the longest due first.
func (s *Store) DueReports(ctx context.Context, now time.Time, limit int) ([]pipeline.Report, error) {
	list, err := collect(ctx, s.db.Read, scanReport, `select `+reportColumns+` from reports
		where sent < wanted and next_at <= $1 order by next_at, deployment_id, target limit $2`, micros(now), limit)
	if err != nil {
		return nil, fmt.Errorf("list due reports: %w", err)
	}
	return list, nil
}

// ReportSent writes that the remote knows version of the deployment. A newer
// wanted version makes the row due again at once; sent never goes back. A
// remoteID of 0 leaves the one that is known.
func (s *Store) ReportSent(ctx context.Context, r pipeline.Report, version, remoteID int64) error {
	return s.updateOne(ctx, "report of "+r.Deployment, `update reports set
		sent = case when sent < $1 then $1 else sent end,
		remote_id = case when $2 = 0 then remote_id else $2 end,
		tries = 0, next_at = 0, last_error = '' where deployment_id = $3 and target = $4`,
		version, remoteID, r.Deployment, string(r.Target))
}

// ReportFailed writes when to try again, and why it failed.
func (s *Store) ReportFailed(ctx context.Context, r pipeline.Report, next time.Time, cause string) error {
	return s.updateOne(ctx, "report of "+r.Deployment, `update reports set tries = tries + 1, next_at = $1, last_error = $2
		where deployment_id = $3 and target = $4`, micros(next), cause, r.Deployment, string(r.Target))
}
