package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/figure"
	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/api/client"
)

const (
	deliveryAtOnce = 16
	deliveryRounds = 5
	deliveryRound  = 6400                     // deliveries of a round
	deliveryBodies = 64                       // different ones
	deliveryRepo   = "Codertocat/Hello-World" // of GitHub's example
)

// deliveryFigures sends signed pushes to a branch that is not deployed, as most
// pushes are, and then looks for every one of them in the server's list.
func deliveryFigures(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("deliveries", flag.ContinueOnError)
	server := f.String("server", "", "address of the running server")
	secret := f.String("secret", "", "webhook secret")
	token := f.String("token", "", "admin token")
	sample := f.String("body", "", "file with a push as GitHub sends it")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	bodies, err := pushes(*sample)
	if err != nil {
		return err
	}
	c, err := client.New("http://"+*server, *token)
	if err != nil {
		return err
	}
	name, repo, routes := "hello", deliveryRepo, []pipeline.Route{{Host: "hello.bench", Service: "web", Port: 8000}}
	if _, err := c.CreateApp(ctx, api.AppChange{Name: &name, Repo: &repo, Routes: &routes}); err != nil {
		return err
	}
	flood := &flood{address: *server, secret: []byte(*secret), bodies: bodies, run: rand.Text()[:8]}
	if _, err := flood.round(ctx, 1000); err != nil { // connections open, statements prepared
		return err
	}
	var rates, half, most []float64
	for range deliveryRounds {
		begin := time.Now()
		times, err := flood.round(ctx, deliveryRound)
		if err != nil {
			return err
		}
		rates = append(rates, deliveryRound/time.Since(begin).Seconds())
		half, most = append(half, figure.Quantile(times, 0.5)), append(most, figure.Quantile(times, 0.99))
	}
	if err := flood.verify(ctx, c); err != nil {
		return err
	}
	for _, row := range []figure.Row{
		{What: fmt.Sprintf("durable deliveries of %.1f kB", float64(len(bodies[0]))/1000), Unit: "/s", Runs: rates, Goal: figure.AtLeast(6000)},
		{What: "delivery p50", Unit: "ms", Runs: half},
		{What: "delivery p99", Unit: "ms", Runs: most, Goal: figure.AtMost(15)},
	} {
		if err := row.Print(out); err != nil {
			return err
		}
	}
	return nil
}

// pushes makes bodies out of GitHub's own example: pushes to another branch
// than the one that the app of the repository follows, of different commits.
func pushes(file string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var example bytes.Buffer // GitHub sends no blanks
	if err := json.Compact(&example, text); err != nil {
		return nil, err
	}
	var out [][]byte
	for range deliveryBodies {
		sha := make([]byte, 20)
		if _, err := rand.Read(sha); err != nil {
			return nil, err
		}
		body := example.String()
		for was, is := range map[string]string{
			"refs/heads/master": "refs/heads/feature", "6113728f27ae82c7b1a177c8d03f9e96e0adf246": hex.EncodeToString(sha),
		} {
			if !strings.Contains(body, was) || !strings.Contains(body, `"full_name":"`+deliveryRepo+`"`) {
				return nil, fmt.Errorf("%s is not the push that is expected here", file)
			}
			body = strings.ReplaceAll(body, was, is)
		}
		out = append(out, []byte(body))
	}
	return out, nil
}

// flood is many deliveries, each under an id of its own.
type flood struct {
	address string
	secret  []byte
	bodies  [][]byte
	run     string

	sent int
}

// round sends n deliveries and returns their times in ms, sorted. Each must be
// accepted.
func (f *flood) round(ctx context.Context, n int) ([]float64, error) {
	first := f.sent
	f.sent += n
	times, errs := make([]float64, n), make([]error, deliveryAtOnce)
	heads := f.heads()
	var wg sync.WaitGroup
	for w := range deliveryAtOnce {
		wg.Go(func() {
			r := raw{address: f.address}
			defer r.close()
			var request []byte
			for i := w; i < n; i += deliveryAtOnce {
				request = fmt.Appendf(request[:0], heads[i%deliveryBodies], f.id(first+i))
				request = append(request, f.bodies[i%deliveryBodies]...)
				begin := time.Now()
				status, body, err := r.ask(ctx, request)
				times[i] = figure.MS(time.Since(begin))
				if err == nil && (status != http.StatusAccepted || !strings.Contains(body, `"other_branch"`)) {
					err = fmt.Errorf("answered %d %s", status, body)
				}
				if err != nil {
					errs[w] = fmt.Errorf("delivery %s: %w", f.id(first+i), err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(times)
	return times, nil
}

// heads are the requests' heads, by body, with a place for the delivery's id.
func (f *flood) heads() []string {
	var out []string
	for _, body := range f.bodies {
		out = append(out, "POST /webhooks/github HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"+
			"X-GitHub-Event: push\r\nX-GitHub-Delivery: %s\r\nX-Hub-Signature-256: "+sign(f.secret, body)+"\r\n"+
			fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)))
	}
	return out
}

func (f *flood) id(i int) string { return fmt.Sprintf("bench-%s-%08d", f.run, i) }

// verify reads the server's list until every delivery was found, each once.
func (f *flood) verify(ctx context.Context, c *client.Client) error {
	missing := map[string]bool{}
	for i := range f.sent {
		missing[f.id(i)] = true
	}
	for after := ""; ; {
		part, err := c.Deliveries(ctx, client.Part{After: after, Limit: 200})
		if err != nil {
			return fmt.Errorf("list deliveries: %w", err)
		}
		for _, d := range part.Items {
			if strings.HasPrefix(d.ID, "bench-"+f.run) && !missing[d.ID] {
				return fmt.Errorf("delivery %s is stored twice", d.ID)
			}
			delete(missing, d.ID)
		}
		if after = part.Next; after == "" {
			break
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d of %d deliveries were accepted and are not stored", len(missing), f.sent)
	}
	return nil
}
