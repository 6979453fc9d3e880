package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// streamPause is between two messages on a long stream.
const streamPause = 500 * time.Millisecond

// streams are open from before the first cutover to after the last: WebSockets
// and event streams of the app and of another one that nobody deploys.
type streams struct {
	opened int
	stop   chan struct{}
	wg     sync.WaitGroup

	mu   sync.Mutex
	lost []string
}

// openStreams opens as many of each kind to each host.
func openStreams(ctx context.Context, address string, each int, hosts ...string) (*streams, error) {
	s := &streams{stop: make(chan struct{})}
	for _, host := range hosts {
		for range each {
			if err := errors.Join(s.socket(ctx, &visitor{address: address, host: host}),
				s.events(ctx, &visitor{address: address, host: host})); err != nil {
				return s, errors.Join(err, s.end())
			}
		}
	}
	return s, nil
}

// keep repeats beat until the streams are to end, and closes the stream then.
func (s *streams) keep(name string, beat, end func() error) {
	s.opened++
	s.wg.Go(func() {
		for {
			err, stopped := beat(), false
			select {
			case <-s.stop:
				stopped = true
			default:
			}
			if stopped || err != nil {
				s.ended(name, errors.Join(err, end()))
				return
			}
		}
	})
}

func (s *streams) ended(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.lost = append(s.lost, fmt.Sprintf("%s: %v", name, err))
	}
}

func (s *streams) socket(ctx context.Context, v *visitor) error {
	conn, a, err := v.openSocket(ctx)
	if err != nil {
		return fmt.Errorf("open a WebSocket of %s: %w", v.host, err)
	}
	s.keep("WebSocket of "+v.host, func() error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := echo(ctx, conn, a.release); err != nil {
			return err
		}
		select {
		case <-s.stop:
		case <-time.After(streamPause):
		}
		return nil
	}, func() error { return conn.Close(websocket.StatusNormalClosure, "") })
	return nil
}

func (s *streams) events(ctx context.Context, v *visitor) error {
	err := v.dial(ctx)
	if err == nil {
		_, err = io.WriteString(v.conn, v.get("/events?count=1000000"))
	}
	if err != nil {
		return fmt.Errorf("open an event stream of %s: %w", v.host, err)
	}
	resp, err := http.ReadResponse(v.in, nil) //nolint:bodyclose // it ends with the connection
	if err != nil {
		return fmt.Errorf("open an event stream of %s: %w", v.host, err)
	}
	body, want := bufio.NewReader(resp.Body), "data: "+readAnswer(resp.Header).release+"\n"
	s.keep("event stream of "+v.host, func() error {
		if err := v.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		line, err := body.ReadString('\n')
		if err == nil && strings.TrimSpace(line) != "" && line != want {
			err = fmt.Errorf("%q, want %q", line, want)
		}
		return err
	}, func() error { v.close(); return nil })
	return nil
}

// end closes the streams and says which of them had been lost.
func (s *streams) end() error {
	close(s.stop)
	s.wg.Wait()
	if len(s.lost) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d streams did not last: %s", len(s.lost), s.opened, s.lost[0])
}

// kept counts the streams that lasted. They must have ended.
func (s *streams) kept() int { return s.opened - len(s.lost) }
