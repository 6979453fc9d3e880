package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// probe asks the idle color whether it is ready: it must be alive, healthy
// where it has a health check, and answer several times in a row. All are asked
// at the same time.
func (x *run) probe(ctx context.Context) (string, error) {
	web := x.web()
	seen := make([]string, len(web))
	on, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := abreast(web, func(i int, c Container) error {
		svc, _ := x.rel.Stack.Service(c.Owner.Service)
		line, err := x.probeOne(on, svc, c)
		if err == nil {
			seen[i] = strings.TrimPrefix(called(svc, c), "service ") + ": " + line
			return nil
		}
		if on.Err() == nil { // else another one has failed before, or the run ends
			x.tailLog(context.WithoutCancel(ctx), c)
		}
		err = fmt.Errorf("%s: %w", called(svc, c), err)
		stop(err) // the first one counts
		return err
	})
	if err != nil {
		return "", context.Cause(on)
	}
	return strings.Join(seen, "; "), x.showPreview(ctx)
}

// called names a container by its service, and by its number where there are
// several.
func called(svc stack.Service, c Container) string {
	if svc.Replicas > 1 {
		return fmt.Sprintf("service %s, replica %d", svc.Name, c.Replica+1)
	}
	return "service " + svc.Name
}

// probeOne probes one container, just started, until it answered often enough,
// died, or the time is up.
func (x *run) probeOne(ctx context.Context, svc stack.Service, c Container) (string, error) {
	begun := x.Now()
	client := &http.Client{
		Timeout:       svc.Probe.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DialContext: x.Engine.Dial, DisableKeepAlives: true},
	}
	var last answer
	now, looked := c, begun
	for good := 0; ; {
		if last.good || x.Now().Sub(looked) >= lookPause {
			var err error
			if now, err = x.Engine.Inspect(ctx, c.ID); err != nil {
				return "", fmt.Errorf("look at container: %w", err)
			}
			looked = x.Now()
		}
		if !now.Running {
			return "", errors.New(ending(now))
		}
		if now.Health == "unhealthy" {
			return "", errors.New("its health check says unhealthy")
		}
		before := last
		switch {
		case svc.Probe.Port == 0:
			last = answer{good: true, text: "runs"}
		case svc.Probe.Path == "":
			last = x.knock(ctx, svc.Probe, c.Edge)
		default:
			last = ask(ctx, client, svc.Probe, c.Edge)
		}
		if last.good {
			good++
		} else {
			good = 0
		}
		if last.text != before.text {
			x.say("  %s: %s → %s", strings.TrimPrefix(called(svc, c), "service "), question(svc.Probe), last.text)
		}
		if good >= svc.Probe.Successes && (!now.HasCheck || now.Health == "healthy") {
			return fmt.Sprintf("%s, %d of %d in a row after %s", last.text, good, svc.Probe.Successes, x.Now().Sub(begun).Round(time.Millisecond)), nil
		}
		if x.Now().Sub(begun) > svc.Probe.Within {
			return "", x.whyNot(ctx, svc.Probe, now, last)
		}
		if err := sleep(ctx, pause(svc.Probe, begun, x.Now(), good)); err != nil {
			return "", err
		}
	}
}

// lookPause is how often a container that does not answer yet is looked at: the
// engine's work for it would be taken from the app that starts.
const lookPause = 50 * time.Millisecond

// pause is short at first and between successes, so that a fast app is not
// kept waiting, and the probe's own interval after a while.
func pause(p stack.Probe, begun, now time.Time, good int) time.Duration {
	switch waited := now.Sub(begun); {
	case good > 0 || waited < 500*time.Millisecond:
		return min(p.Interval, 3*time.Millisecond)
	case waited < 2*time.Second:
		return min(p.Interval, 10*time.Millisecond)
	}
	return p.Interval
}

// question is what a probe asks, in the log's words.
func question(p stack.Probe) string {
	switch {
	case p.Port == 0:
		return "look whether it runs, and is healthy"
	case p.Path == "":
		return fmt.Sprintf("connect to port %d", p.Port)
	}
	return "GET " + p.Path
}

// answer is what one request of a probe saw.
type answer struct {
	good bool
	text string
	err  error
	code int
}

// knock asks only whether the port accepts a connection.
func (x *run) knock(ctx context.Context, p stack.Probe, addr netip.Addr) answer {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	conn, err := x.Engine.Dial(ctx, "tcp", netip.AddrPortFrom(addr, uint16(p.Port)).String())
	if err != nil {
		return answer{text: plainly(err), err: err}
	}
	_ = conn.Close() // it was only asked whether it would open
	return answer{good: true, text: "connected"}
}

func ask(ctx context.Context, client *http.Client, p stack.Probe, addr netip.Addr) answer {
	url := "http://" + net.JoinHostPort(addr.String(), strconv.Itoa(p.Port)) + p.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{text: err.Error(), err: err}
	}
	req.Host = p.Host
	req.Header.Set("User-Agent", "Swingbridge-Probe")
	req.Header.Set("X-Forwarded-Proto", "https")
	resp, err := client.Do(req)
	if err != nil {
		return answer{text: plainly(err), err: err}
	}
	defer func() { _ = resp.Body.Close() }() // nothing to learn from it
	a := answer{code: resp.StatusCode, text: strconv.Itoa(resp.StatusCode)}
	a.good = a.code >= p.StatusMin && a.code <= p.StatusMax
	if to := resp.Header.Get("Location"); to != "" {
		a.text += " to " + to
	}
	if !a.good {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // what there is of it helps
		if line := strings.Join(strings.Fields(string(body)), " "); line != "" {
			a.text += ": " + line
		}
	}
	return a
}

// plainly cuts net/http's error to what an operator needs.
func plainly(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}

// tailLog copies the last lines of a container into the deployment's log.
func (x *run) tailLog(ctx context.Context, c Container) {
	out, err := x.Engine.Logs(ctx, c.ID, LogOrder{Tail: 50})
	if err != nil {
		x.say("  the container's output cannot be read: %v", err)
		return
	}
	defer func() { _ = out.Close() }() // only read
	x.say("  last lines of %s:", c.Name)
	if _, err := io.Copy(x.log, io.LimitReader(out, 256<<10)); err != nil {
		x.say("  the container's output cannot be read: %v", err)
	}
}
