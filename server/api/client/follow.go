package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
)

// Follow yields a deployment's log from a byte offset on, and what is added to
// it, until it is closed for good. A connection that breaks is made again and
// goes on where it was; the error of one that cannot be is the last thing
// yielded.
func (c *Client) Follow(ctx context.Context, id string, offset int64) iter.Seq2[api.Chunk, error] {
	return func(yield func(api.Chunk, error) bool) {
		tries := c.tries()
		for {
			ended, goOn, err := c.followOnce(ctx, id, &offset, func(chunk api.Chunk) bool {
				tries.worked()
				return yield(chunk, nil)
			})
			if ended || !goOn {
				return
			}
			if err := tries.again(ctx, err); err != nil {
				yield(api.Chunk{Offset: offset}, err)
				return
			}
		}
	}
}

// followOnce follows over one connection, moving offset. goOn is false if the
// reader has had enough.
func (c *Client) followOnce(ctx context.Context, id string, offset *int64, yield func(api.Chunk) bool) (ended, goOn bool, err error) {
	what := get("deployments", id, "log")
	what.header = http.Header{"Accept": {"text/event-stream"}, "Last-Event-Id": {strconv.FormatInt(*offset, 10)}}
	answer, err := c.send(ctx, what)
	if err != nil {
		return false, true, err
	}
	defer func() { _ = answer.Body.Close() }()
	in := bufio.NewReader(answer.Body)
	for {
		e, err := readEvent(in)
		if err != nil {
			return false, true, fmt.Errorf("%w: the log broke off: %w", ErrUnreachable, err)
		}
		if e.name == "end" {
			return true, true, nil
		}
		after, err := strconv.ParseInt(e.id, 10, 64)
		if err != nil || e.name != "" {
			continue // an event of a later server
		}
		*offset = after
		if !yield(api.Chunk{Data: e.data, Offset: after}) {
			return false, false, nil
		}
	}
}

// Events yields every state change from now on, until ctx ends or the connection
// breaks: what was missed then is found by asking.
func (c *Client) Events(ctx context.Context) iter.Seq2[api.Change, error] {
	return func(yield func(api.Change, error) bool) {
		what := get("events")
		what.header = http.Header{"Accept": {"text/event-stream"}}
		answer, err := c.send(ctx, what)
		if err != nil {
			yield(api.Change{}, err)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		in := bufio.NewReader(answer.Body)
		for {
			var change api.Change
			e, err := readEvent(in)
			if err == nil {
				err = json.Unmarshal(e.data, &change)
			}
			if err != nil {
				if ctx.Err() == nil {
					yield(change, fmt.Errorf("%w: the events broke off: %w", ErrUnreachable, err))
				}
				return
			}
			if !yield(change, nil) {
				return
			}
		}
	}
}

// Await asks for a deployment until it ended or is stuck, and lets seen have
// each answer (nil: nobody). A server that is being restarted is waited for.
func (c *Client) Await(ctx context.Context, id string, seen func(api.Deployment)) (api.Deployment, error) {
	tries := c.tries()
	for {
		d, err := c.Deployment(ctx, id)
		if err != nil {
			if err := tries.again(ctx, err); err != nil {
				return d, err
			}
			continue
		}
		tries.worked()
		if seen != nil {
			seen(d)
		}
		if d.State.Ended() || d.State == pipeline.Stuck {
			return d, nil
		}
		if err := c.Pause(ctx, 500*time.Millisecond); err != nil {
			return d, err
		}
	}
}

// tries counts how long a server has not answered.
type tries struct {
	c     *Client
	since time.Time
	wait  time.Duration
}

func (c *Client) tries() *tries { return &tries{c: c} }

func (t *tries) worked() { t.since, t.wait = time.Time{}, 0 }

// again waits before the next try, or returns why there is none.
func (t *tries) again(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// A server that starts may be reached before it is ready.
	var refused *Error
	starting := errors.As(err, &refused) && refused.Status >= 502 && refused.Status <= 504
	if !errors.Is(err, ErrUnreachable) && !starting {
		return err
	}
	now := t.c.Now()
	if t.since.IsZero() {
		t.since = now
	}
	if now.Sub(t.since) > t.c.Patience {
		return err
	}
	t.wait = min(max(2*t.wait, 100*time.Millisecond), 3*time.Second)
	return t.c.Pause(ctx, t.wait)
}

// event is one server-sent event.
type event struct {
	name string
	id   string
	data []byte
}

// maxLine bounds a line of a stream, in bytes; the server's events are smaller.
const maxLine = 1 << 20

// readEvent reads the next event that has data
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func readEvent(in *bufio.Reader) (event, error) {
	var e event
	hasData := false
	for {
		line, err := readLine(in)
		if err != nil {
			return event{}, err // an event without its empty line is not one
		}
		if len(line) == 0 {
			if hasData {
				return e, nil
			}
			e = event{id: e.id}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.name = string(value)
		case "id":
			e.id = string(value)
		case "data":
			if hasData {
				e.data = append(e.data, '\n')
			}
			hasData = true
			e.data = append(e.data, value...)
			if len(e.data) > maxLine {
				return event{}, errors.New("an event is too large")
			}
		}
	}
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		piece, err := in.ReadSlice('\n')
		line = append(line, piece...)
		if len(line) > maxLine {
			return nil, errors.New("a line is too long")
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		return line, nil
	}
}
