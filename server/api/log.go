package api

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Log is GET /deployments/{id}/log: the text from ?offset= on, or events that
// follow it.
func (a *API) Log(w http.ResponseWriter, r *http.Request) {
	offset, err := offsetOf("offset", r.URL.Query().Get("offset"))
	if last := r.Header.Get("Last-Event-ID"); err == nil && last != "" && wantsStream(r) {
		offset, err = offsetOf("Last-Event-ID", last)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	d, err := a.store.Deployment(r.Context(), r.PathValue("id"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	size, err := a.logSize(d.ID)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	// A crash of the machine can take back the end of a log that a client saw.
	offset = min(offset, size)
	if wantsStream(r) {
		a.followLog(w, r, d, offset)
		return
	}
	a.sendLog(w, r, d.ID, offset, size)
}

func (a *API) logSize(deployment string) (int64, error) {
	size, err := a.logs.Size(deployment)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, pipeline.ErrNotFound) {
		return 0, nil
	}
	return size, err
}

// logPiece is how much of a log is read at a time, in bytes.
const logPiece = 256 << 10

// sendLog sends the log as it is now, up to size.
func (a *API) sendLog(w http.ResponseWriter, r *http.Request, deployment string, offset, size int64) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	for offset < size && r.Context().Err() == nil {
		data, err := a.logs.ReadAt(deployment, offset, int(min(logPiece, size-offset)))
		if len(data) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				a.logger.ErrorContext(r.Context(), "read log", "deployment", deployment, "offset", offset, "error", err)
				panic(http.ErrAbortHandler) // the only way left to say that the text is not complete
			}
			return
		}
		if _, err := w.Write(lines(data)); err != nil {
			return // the client is gone
		}
		offset += int64(len(data))
	}
}

// piece is what following a log yields.
type piece struct {
	chunk Chunk
	err   error
}

// followLog sends what is there and what comes, until the log is closed for
// good. A stream that ends without the closing event was cut: the client goes on
// with the id of the last event.
func (a *API) followLog(w http.ResponseWriter, r *http.Request, d pipeline.Deployment, offset int64) {
	ctx := r.Context()
	changes, stopChanges := pump(ctx, a.subscribe)
	defer stopChanges()
	out, err := openStream(w)
	if err != nil {
		return // the client is gone
	}
	text := &logText{to: out, sent: offset}
	pieces, stopPieces := pump(ctx, func(ctx context.Context) iter.Seq[piece] {
		return func(yield func(piece) bool) {
			for c, err := range a.follow(ctx, d.ID, offset) {
				if !yield(piece{c, err}) {
					return
				}
			}
		}
	})
	defer stopPieces()
	if a.silent(ctx, d.ID) {
		_ = text.end()
		return
	}
	a.relay(ctx, text, d.ID, pieces, changes)
}

// relay moves pieces to the client; its end is the end of the stream.
func (a *API) relay(ctx context.Context, text *logText, id string, pieces <-chan piece, changes <-chan Event) {
	beat := time.NewTicker(a.heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case p, open := <-pieces:
			switch {
			case ctx.Err() != nil:
				return
			case !open:
				_ = text.end() // a client that is gone is not told
				return
			case p.err != nil:
				a.logger.ErrorContext(ctx, "follow log", "deployment", id, "error", p.err)
				return
			}
			err = text.add(p.chunk.Data)
		case e, open := <-changes:
			if !open {
				changes = nil
			} else if e.Deployment == id && a.silent(ctx, id) {
				_ = text.end()
				return
			}
		case <-beat.C:
			if a.silent(ctx, id) {
				_ = text.end()
				return
			}
			err = text.to.beat()
		case <-ctx.Done():
			return
		}
		if err != nil {
			return // the client is gone, or too slow
		}
	}
}

// silent reports whether the deployment ended without ever having run: its log
// will never be opened, and so never be closed either.
func (a *API) silent(ctx context.Context, id string) bool {
	d, err := a.store.Deployment(ctx, id)
	return err == nil && d.State.Ended() && d.StartedAt.IsZero()
}
