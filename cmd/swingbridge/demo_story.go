package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server/api"
)

// show is what the demo shows, from top to bottom.
func (d *demo) show(ctx context.Context) error {
	budget, cancel := context.WithTimeout(ctx, demoBudget)
	defer cancel()
	for _, scene := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"A sample app, its repository and its image base", d.prepare},
		{"The first push becomes the app's first version", d.firstPush},
		{"A good push, under traffic", d.goodPush},
		{"A broken push, under traffic", d.brokenPush},
	} {
		fmt.Fprintf(d.err, "\n■ %s\n", scene.title)
		if err := scene.play(budget); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(scene.title), err)
		}
	}
	fmt.Fprintln(d.out, "\nAll of it held: no request lost, no push lost.")
	if d.keep {
		d.linger(ctx)
	}
	return nil
}

// files is the sample repository at a version.
func (d *demo) files(version, extra string) map[string]string {
	return map[string]string{
		"Dockerfile":  "FROM " + d.base + "\nCOPY page.txt /page.txt\nEXPOSE 8000\nENTRYPOINT [\"/swingbridge\", \"demo-app\"" + extra + "]\n",
		"page.txt":    version + "\n",
		"compose.yml": "services:\n  web:\n    build: .\n    x-swingbridge: {drain: 10s}\nx-swingbridge: {guard: 3s}\n",
	}
}

// push pushes a version and follows its deployment to the end.
func (d *demo) push(ctx context.Context, version, extra, message string) (api.Deployment, error) {
	base, _ := d.cfg.server()
	id, err := d.forge.push(ctx, base, d.files(version, extra), message)
	if err != nil {
		return api.Deployment{}, err
	}
	seen := progress{out: d.err}
	return d.api.Await(ctx, id, seen.show)
}

func (d *demo) firstPush(ctx context.Context) error {
	end, err := d.push(ctx, "version 1", "", "Open the harbor")
	if err != nil {
		return err
	}
	return d.wantEnd(ctx, end, pipeline.Live, "success", "")
}

func (d *demo) goodPush(ctx context.Context) error {
	v, err := d.underTraffic(ctx, func(ctx context.Context) error {
		end, err := d.push(ctx, "version 2", "", "Add a second quay")
		if err != nil {
			return err
		}
		return d.wantEnd(ctx, end, pipeline.Live, "success", "")
	})
	if err == nil && v.last != "version 2" {
		err = fmt.Errorf("visitors see %q", v.last)
	}
	return err
}

func (d *demo) brokenPush(ctx context.Context) error {
	v, err := d.underTraffic(ctx, func(ctx context.Context) error {
		end, err := d.push(ctx, "version 3", `, "--fail"`, "Charge harbor dues")
		if err != nil {
			return err
		}
		return d.wantEnd(ctx, end, pipeline.Failed, "failure", "PAYMENT_URL is not set")
	})
	if err == nil && v.last != "version 2" {
		err = fmt.Errorf("visitors see %q", v.last)
	}
	return err
}

// wantEnd checks how a deployment ended, here and at GitHub.
func (d *demo) wantEnd(ctx context.Context, end api.Deployment, state pipeline.State, conclusion, says string) error {
	if end.State != state {
		return fmt.Errorf("the deployment ended %s: %s", end.State, end.Reason)
	}
	run, err := d.check(ctx, end.ID)
	if err != nil {
		return err
	}
	if run.Conclusion != conclusion || !strings.Contains(run.Summary+run.Text, says) {
		return fmt.Errorf("the check at GitHub says %s, without %q:\n%s\n%s", run.Conclusion, says, run.Summary, run.Text)
	}
	fmt.Fprintf(d.out, "deployment %s; GitHub's check %q is %s", end.State, run.Name, run.Conclusion)
	if says != "" {
		fmt.Fprintf(d.out, " and shows %q", says)
	}
	fmt.Fprintln(d.out)
	return nil
}
