package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// rowTimeout bounds all the requests that one row takes.
const rowTimeout = time.Minute

// deliver brings one place on GitHub to what the row wants, and notes it. The
// version noted is the one that was read before the deployment was: what
// changed in between is sent again at worst.
func (s *Sender) deliver(ctx context.Context, j job, p *progress) error {
	d := j.subject.Deployment
	if d.Commit == "" { // not known before fetch; a later version comes with it
		s.note(ctx, j, j.row.RemoteID, p)
		return nil
	}
	if j.subject.wentWrong() {
		j.subject.Log = s.o.Logs(d.ID, logLines)
	}
	want, err := s.want(j)
	if err != nil {
		return err
	}
	have, known := s.recall(j.key())
	if known && have.digest == want.digest {
		s.note(ctx, j, j.row.RemoteID, p)
		return nil
	}
	if until := have.at.Add(s.o.Progress); known && have.status == want.status && !p.flush && s.now().Before(until) {
		p.due(j.key(), until) // only its steps changed
		return nil
	}
	call, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	var id int64
	switch j.row.Target {
	case pipeline.ReportCheck:
		id, err = s.deliverCheck(call, j, known)
	case pipeline.ReportStatus:
		id, err = 0, s.deliverStatus(call, j, known)
	case pipeline.ReportDeployment:
		id, err = s.deliverRecord(call, j, known)
	default:
		err = fmt.Errorf("%w report target %q", pipeline.ErrInvalid, j.row.Target)
	}
	if err != nil {
		return err
	}
	s.remember(j.key(), want, closed(j.row.Target, d.State))
	s.note(ctx, j, id, p)
	return nil
}

// note tells the outbox what GitHub has. Where that fails the next pass finds
// GitHub up to date, so it is an error of the pass and not of the row.
func (s *Sender) note(ctx context.Context, j job, id int64, p *progress) {
	if err := s.o.Outbox.ReportSent(ctx, j.row, j.row.Wanted, id); err != nil {
		p.failed(fmt.Errorf("note a sent report: %w", err))
	}
}

// want digests what the row's place should show.
func (s *Sender) want(j job) (sent, error) {
	var body any
	var status string
	switch j.row.Target {
	case pipeline.ReportCheck:
		check := CheckRunOf(j.subject)
		body, status = check, check.Status
	case pipeline.ReportStatus:
		state := CommitStatusOf(j.subject)
		body, status = state, state.State
	default:
		state := RecordStatusOf(j.subject)
		body, status = state, state.State
		if j.row.Target == pipeline.ReportDeployment {
			// Which step runs is told by the check run; a record keeps every
			// status for ever, so that it gets one for each state only.
			body = status + string(j.subject.Deployment.State)
		}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return sent{}, fmt.Errorf("digest the report: %w", err)
	}
	sum := sha256.Sum256(raw)
	return sent{digest: hex.EncodeToString(sum[:]), status: status, at: s.now()}, nil
}

func (s *Sender) recall(k rowKey) (sent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, known := s.sent[k]
	return have, known
}

// remember keeps what GitHub has, unless there is nothing more to say.
func (s *Sender) remember(k rowKey, have sent, final bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if final {
		delete(s.sent, k)
		return
	}
	s.sent[k] = have
}

func (s *Sender) forget(k rowKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sent, k)
}
