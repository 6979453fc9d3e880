package store

import (
	"context"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

// storedVerdict is how a verdict is kept.
type storedVerdict struct {
	App          string           `json:"app"`
	AppID        string           `json:"app_id"`
	Outcome      pipeline.Outcome `json:"outcome"`
	Reason       string           `json:"reason"`
	Message      string           `json:"message,omitempty"`
	DeploymentID string           `json:"deployment_id,omitempty"`
}

func verdictsToJSON(list []pipeline.Verdict) (string, error) {
	out := make([]storedVerdict, len(list))
	for i, v := range list {
		out[i] = storedVerdict{v.App, v.AppID, v.Outcome, v.Reason, v.Message, v.DeploymentID}
	}
	return toJSON(out)
}

const deliveryColumns = `id, event, action, repo, repo_id, ref, commit_sha, sender, received_at, outcome, reason, message, verdicts`

func scanDelivery(more ...any) func(scanner) (pipeline.Delivery, error) {
	return func(r scanner) (pipeline.Delivery, error) {
		var d pipeline.Delivery
		var verdicts []storedVerdict
		err := r.Scan(append([]any{
			&d.ID, &d.Event, &d.Action, &d.Repo, &d.RepoID, &d.Ref, &d.Commit, &d.Sender,
			timeColumn{&d.ReceivedAt}, &d.Outcome, &d.Reason, &d.Message, jsonColumn{&verdicts},
		}, more...)...)
		for _, v := range verdicts {
			d.Apps = append(d.Apps, pipeline.Verdict{
				App: v.App, AppID: v.AppID, Outcome: v.Outcome, Reason: v.Reason,
				Message: v.Message, DeploymentID: v.DeploymentID,
			})
		}
		return d, err
	}
}

// Deliveries lists deliveries newest first, without their bodies. ErrNotFound
// if the page begins after a delivery that is not stored.
func (s *Store) Deliveries(ctx context.Context, p pipeline.Page) (list []pipeline.Delivery, err error) {
	err = s.read(ctx, func(q querier) error {
		before := int64(1) << 62
		if p.After != "" {
			err := q.QueryRowContext(ctx, `select seq from deliveries where id = $1`, p.After).Scan(&before)
			if err != nil {
				return found(err, "delivery %s", p.After)
			}
		}
		list, err = collect(ctx, q, scanDelivery(), `select `+deliveryColumns+` from deliveries where seq < $1 order by seq desc limit $2`, before, limit(p))
		if err != nil {
			return fmt.Errorf("list deliveries: %w", err)
		}
		return nil
	})
	return list, err
}

// DeliveryByID finds a delivery, with its body.
func (s *Store) DeliveryByID(ctx context.Context, id string) (pipeline.Delivery, error) {
	return findDelivery(ctx, s.db.Read, id)
}

func findDelivery(ctx context.Context, q querier, id string) (pipeline.Delivery, error) {
	var body []byte
	d, err := scanDelivery(&body)(q.QueryRowContext(ctx, `select `+deliveryColumns+`, body from deliveries where id = $1`, id))
	d.Body = body
	return d, found(err, "delivery %s", id)
}
