package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Defaults of SenderOptions.
const (
	defaultPace     = time.Second     // GitHub asks for a second between writes
	defaultProgress = 3 * time.Second // between two reports of a step list
	defaultPoll     = 30 * time.Second
)

// batch is how many rows of the outbox one pass takes, parallel how many
// repositories it serves at once, logLines how much of a log a report shows.
const (
	batch    = 500
	parallel = 4
	logLines = 60
)

// Outbox is what the sender needs of the store.
type Outbox interface {
	Rows
	Facts
}

// Rows are the lines of the outbox.
type Rows interface {
	// DueReports returns at most limit rows whose wanted version was not sent
	// and whose time has come.
	DueReports(ctx context.Context, now time.Time, limit int) ([]pipeline.Report, error)
	// ReportSent notes which version GitHub has, and under which id.
	ReportSent(ctx context.Context, r pipeline.Report, version, remoteID int64) error
	// ReportFailed notes why the row could not be sent and when to try again.
	ReportFailed(ctx context.Context, r pipeline.Report, next time.Time, cause string) error
}

// Facts are what reports are made of.
type Facts interface {
	Deployment(ctx context.Context, id string) (pipeline.Deployment, error)
	AppByID(ctx context.Context, id string) (pipeline.App, error)
	// LastGood is where the app's live deployment can go back to; ErrNotFound if
	// that is nowhere.
	LastGood(ctx context.Context, appID string) (pipeline.Deployment, error)
}

// SenderOptions is what a Sender needs, and how fast it goes.
type SenderOptions struct {
	Client *Client
	Outbox Outbox
	// Logs returns the last lines of a deployment's log; nil: reports show none.
	Logs   func(deployment string, lines int) []string
	Now    func() time.Time
	Logger *slog.Logger

	Pace     time.Duration // between two writes to GitHub; 0 is 1 s, negative is none
	Progress time.Duration // between two reports of one deployment's steps; 0 is 3 s, negative is none
	Poll     time.Duration // how often the outbox is read without a Wake; 0 is 30 s
}

// Sender brings GitHub to what the outbox wants. Only one sender may work on an
// outbox; its methods are safe for concurrent use.
type Sender struct {
	o    SenderOptions
	log  *slog.Logger
	now  func() time.Time
	gate gate
	wake chan struct{}
	turn chan struct{} // held by the pass that runs

	mu   sync.Mutex
	sent map[rowKey]sent
}

// rowKey names a row of the outbox.
type rowKey struct {
	deployment string
	target     pipeline.ReportTarget
}

// sent is what this process knows GitHub to have. It is dropped where a call's
// outcome is not known, and then asked for anew.
type sent struct {
	digest string // of the body
	status string // of a check run, or the state elsewhere
	at     time.Time
}

// NewSender makes a sender.
func NewSender(o SenderOptions) *Sender {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Logs == nil {
		o.Logs = func(string, int) []string { return nil }
	}
	o.Pace = cmp.Or(o.Pace, defaultPace)
	o.Progress = cmp.Or(o.Progress, defaultProgress)
	o.Poll = cmp.Or(o.Poll, defaultPoll)
	return &Sender{
		o: o, log: o.Logger, now: o.Now, gate: newGate(o.Pace),
		wake: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		sent: map[rowKey]sent{},
	}
}

// Wake says that the outbox changed. It never blocks.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends, then returns nil once nothing of it is under way. A
// request that the end interrupted is looked for at the next start.
func (s *Sender) Run(ctx context.Context) error {
	waiting := waits{}
	for ctx.Err() == nil {
		begun := s.now()
		more, err := s.pass(ctx, false)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "reports to GitHub wait", "error", err)
		}
		// A pass knows of the rows that it saw; what earlier ones put off still
		// waits for its own time.
		maps.DeleteFunc(waiting, func(_ rowKey, at time.Time) bool { return !at.After(begun) })
		maps.Copy(waiting, more)
		timer := time.NewTimer(s.pause(waiting.first()))
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// pause is how long to wait for the row that is due next, if no Wake comes.
func (s *Sender) pause(next time.Time) time.Duration {
	if next.IsZero() {
		return s.o.Poll
	}
	return min(max(next.Sub(s.now()), 10*time.Millisecond), s.o.Poll)
}

// Flush sends what is due now, steps that would wait for company included, and
// returns when it was tried once. What GitHub refused or could not be reached
// for stays in the outbox and is no error of Flush.
func (s *Sender) Flush(ctx context.Context) error {
	_, err := s.pass(ctx, true)
	return err
}

// job is a row with what it is about.
type job struct {
	row     pipeline.Report
	subject Subject
}

func (j job) repo() string { return j.subject.App.Repo }

func (j job) key() rowKey { return rowKey{j.row.Deployment, j.row.Target} }

// pass goes through the due rows once, repositories side by side and the rows
// of one repository in order. It returns when the rows that it put off are due.
func (s *Sender) pass(ctx context.Context, flush bool) (waits, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	rows, err := s.o.Outbox.DueReports(ctx, s.now(), batch)
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	p := &progress{flush: flush}
	byRepo := s.gather(ctx, rows, p)
	slots := make(chan struct{}, parallel)
	var groups sync.WaitGroup
	for _, jobs := range byRepo {
		slots <- struct{}{}
		groups.Go(func() {
			defer func() { <-slots }()
			s.serve(ctx, jobs, p)
		})
	}
	groups.Wait()
	if len(rows) == batch && len(p.errs) == 0 { // there may be more
		p.due(rowKey{}, s.now())
	}
	return p.result()
}

// gather finds what each row is about and sorts the rows by repository.
func (s *Sender) gather(ctx context.Context, rows []pipeline.Report, p *progress) map[string][]job {
	byRepo := map[string][]job{}
	for _, row := range rows {
		if ctx.Err() != nil {
			return nil
		}
		j, err := s.lookUp(ctx, row)
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.fail(ctx, row, err, p)
			continue
		}
		repo := strings.ToLower(j.repo())
		byRepo[repo] = append(byRepo[repo], j)
	}
	for _, jobs := range byRepo {
		slices.SortStableFunc(jobs, func(a, b job) int { // older deployments first, check runs before records
			return cmp.Or(cmp.Compare(a.row.Deployment, b.row.Deployment), cmp.Compare(a.row.Target, b.row.Target))
		})
	}
	return byRepo
}

func (s *Sender) lookUp(ctx context.Context, row pipeline.Report) (job, error) {
	d, err := s.o.Outbox.Deployment(ctx, row.Deployment)
	if err != nil {
		return job{}, fmt.Errorf("deployment %s: %w", row.Deployment, err)
	}
	app, err := s.o.Outbox.AppByID(ctx, d.AppID)
	if err != nil {
		return job{}, fmt.Errorf("app of deployment %s: %w", row.Deployment, err)
	}
	out := Subject{Deployment: d, App: app, PublicURL: s.o.Client.publicURL, Plain: s.o.Client.plain}
	if d.State == pipeline.Live {
		_, err := s.o.Outbox.LastGood(ctx, d.AppID)
		if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
			return job{}, fmt.Errorf("release before deployment %s: %w", row.Deployment, err)
		}
		out.Earlier = err == nil
	}
	return job{row: row, subject: out}, nil
}

// serve sends the rows of one repository, one after the other. Where GitHub
// does not answer or asks to wait, the rest of them waits as well.
func (s *Sender) serve(ctx context.Context, jobs []job, p *progress) {
	for i, j := range jobs {
		if ctx.Err() != nil {
			return
		}
		err := s.deliver(ctx, j, p)
		if err == nil {
			continue
		}
		s.forget(j.key()) // it may have been done all the same
		if ctx.Err() != nil {
			return
		}
		s.fail(ctx, j.row, err, p)
		if refusal(err) {
			continue
		}
		for _, rest := range jobs[i+1:] {
			s.postpone(ctx, rest.row, err, p)
		}
		return
	}
}

// fail notes that a row could not be sent, and why.
func (s *Sender) fail(ctx context.Context, row pipeline.Report, cause error, p *progress) {
	s.log.WarnContext(ctx, "report to GitHub not sent", "deployment", row.Deployment, "target", row.Target, "error", cause)
	s.postpone(ctx, row, cause, p)
}

// postpone puts a row off until it makes sense to try it (again).
func (s *Sender) postpone(ctx context.Context, row pipeline.Report, cause error, p *progress) {
	next := retryAt(s.now(), row.Tries, cause)
	if err := s.o.Outbox.ReportFailed(ctx, row, next, clip(cause.Error(), 1000)); err != nil {
		p.failed(fmt.Errorf("note a failed report: %w", err))
		return
	}
	p.due(rowKey{row.Deployment, row.Target}, next)
}
