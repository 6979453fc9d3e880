package github

import (
	"context"
	"errors"

	"github.com/swingbridge/swingbridge/pipeline"
)

// deliverCheck makes or updates the check run and returns its id. known says
// that this process left it as the outbox names it. A check run that is
// completed keeps how and when it ended; all that it is told afterwards is that
// visitors have moved on.
func (s *Sender) deliverCheck(ctx context.Context, j job, known bool) (int64, error) {
	repo, want := j.repo(), CheckRunOf(j.subject)
	have, found := remoteCheck{ID: j.row.RemoteID}, true
	if !known || have.ID == 0 {
		var err error
		if have, found, err = s.remoteCheck(ctx, j, want); err != nil {
			return 0, err
		}
	}
	if found && have.closed() {
		if j.subject.Deployment.State != pipeline.Retired || have.Output.Title == want.Output.Title {
			return have.ID, nil
		}
		want = want.afterwards()
	}
	if err := s.gate.pass(ctx); err != nil {
		return 0, err
	}
	if !found {
		return s.o.Client.createCheck(ctx, repo, want)
	}
	return have.ID, s.o.Client.updateCheck(ctx, repo, have.ID, want)
}

// remoteCheck looks for the check run by its own id, then by ours.
func (s *Sender) remoteCheck(ctx context.Context, j job, want CheckRun) (have remoteCheck, found bool, err error) {
	if j.row.RemoteID != 0 {
		have, err = s.o.Client.checkByID(ctx, j.repo(), j.row.RemoteID)
		if !errors.Is(err, pipeline.ErrNotFound) {
			return have, err == nil, err
		}
	}
	return s.o.Client.findCheck(ctx, j.repo(), want)
}

// deliverStatus adds a commit status, unless the commit has it already.
func (s *Sender) deliverStatus(ctx context.Context, j job, known bool) error {
	repo, d, want := j.repo(), j.subject.Deployment, CommitStatusOf(j.subject)
	if !known {
		newest, err := s.o.Client.newestStatus(ctx, repo, d.Commit, want.Context)
		if err != nil {
			return err
		}
		if told(newest, want, d) {
			return nil
		}
	}
	if err := s.gate.pass(ctx); err != nil {
		return err
	}
	return s.o.Client.createStatus(ctx, repo, d.Commit, want)
}

// told reports whether a commit's newest status says what we want to say, or
// makes it untimely. All deployments of a commit share one context: the newest
// deployment has the last word, and says once how it ended.
func told(newest remoteStatus, want CommitStatus, d pipeline.Deployment) bool {
	if newest.Context == "" {
		return false
	}
	same := newest.State == want.State && newest.Description == want.Description
	whose := newest.deployment()
	if whose == "" || want.TargetURL == "" {
		return same || d.State == pipeline.Retired && newest.State == "success"
	}
	return whose > d.ID || whose == d.ID && (same || newest.State != "pending")
}

// deliverRecord makes the deployment record, once the deployment started, and
// adds the status of its state. It returns the record's id, 0 for none.
func (s *Sender) deliverRecord(ctx context.Context, j job, known bool) (int64, error) {
	record, starts := RecordOf(j.subject)
	if !starts {
		return 0, nil
	}
	id, want := j.row.RemoteID, RecordStatusOf(j.subject)
	if !known || id == 0 {
		have, newest, err := s.remoteRecord(ctx, j, record)
		if err != nil {
			return 0, err
		}
		id = have
		if over(newest.State) || newest.State == want.State && newest.Description == want.Description {
			return id, nil
		}
	}
	if err := s.gate.pass(ctx); err != nil {
		return 0, err
	}
	return id, s.o.Client.createRecordStatus(ctx, j.repo(), id, want)
}

// remoteRecord looks for the deployment record by its own id, then by ours, and
// makes it if there is none.
func (s *Sender) remoteRecord(ctx context.Context, j job, want Record) (int64, RecordStatus, error) {
	if id := j.row.RemoteID; id != 0 {
		newest, err := s.o.Client.newestRecordStatus(ctx, j.repo(), id)
		if !errors.Is(err, pipeline.ErrNotFound) {
			return id, newest, err
		}
	}
	id, err := s.o.Client.findRecord(ctx, j.repo(), want)
	if err != nil {
		return 0, RecordStatus{}, err
	}
	if id != 0 {
		newest, err := s.o.Client.newestRecordStatus(ctx, j.repo(), id)
		return id, newest, err
	}
	if err := s.gate.pass(ctx); err != nil {
		return 0, RecordStatus{}, err
	}
	id, err = s.o.Client.createRecord(ctx, j.repo(), want)
	return id, RecordStatus{}, err
}

// over reports whether a deployment record in this state gets no other.
func over(state string) bool {
	switch state {
	case "failure", "error", "inactive":
		return true
	}
	return false
}
