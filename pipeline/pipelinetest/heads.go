package pipelinetest

import (
	"context"

	"github.com/swingbridge/swingbridge/pipeline"
)

// NewerQueued implements pipeline.Heads.
func (l *Ledger) NewerQueued(ctx context.Context, id string) (bool, error) {
	if err := l.w.call(ctx, "ledger.NewerQueued"); err != nil {
		return false, err
	}
	for _, d := range l.All() {
		if d.ID > id && d.State == pipeline.Queued && d.Trigger.Automatic() {
			return true, nil
		}
	}
	return false, nil
}

// QueueHead implements pipeline.Heads.
func (l *Ledger) QueueHead(ctx context.Context, h pipeline.Head) (bool, error) {
	if err := l.w.call(ctx, "ledger.QueueHead"); err != nil {
		return false, err
	}
	if h.Was != "" && h.Was != l.seenHead {
		return false, nil
	}
	l.seenHead = h.Commit
	for _, d := range l.All() {
		if h.Instead != "" && d.ID > h.Instead && d.State == pipeline.Queued && d.Trigger.Automatic() {
			return false, nil
		}
		if d.Commit == h.Commit && (d.State == pipeline.Queued || d.State == pipeline.Running || d.State.Serves()) {
			return false, nil
		}
	}
	l.Queue(h.Commit, pipeline.Poll)
	return true, nil
}

// Apps, SeenHead and SetSeenHead implement pipeline.HeadMemory.
func (l *Ledger) Apps(ctx context.Context) ([]pipeline.App, error) {
	return []pipeline.App{l.app}, l.w.call(ctx, "ledger.Apps")
}

// SeenHead implements pipeline.HeadMemory.
func (l *Ledger) SeenHead(ctx context.Context, _ string) (string, error) {
	return l.seenHead, l.w.call(ctx, "ledger.SeenHead")
}

// SetSeenHead implements pipeline.HeadMemory.
func (l *Ledger) SetSeenHead(ctx context.Context, _, was, sha string) error {
	if l.seenHead == was {
		l.seenHead = sha
	}
	return l.w.call(ctx, "ledger.SetSeenHead")
}
