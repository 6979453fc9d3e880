package web_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
	"github.com/swingbridge/swingbridge/server/web"
)

func sha(short string) string { return short + strings.Repeat("0", 40-len(short)) }

// sample is an installation with something of everything: djangopackages has a
// deployment in its guard, newsletter one that waits for its build, search was
// rolled back, stuck one needs a person, fresh was never deployed.
func sample(now time.Time) *memory {
	m := &memory{
		apps: []pipeline.App{
			{ID: "a1", Redirects: []stack.Redirect{{Host: "www.djangopackages.example", To: "djangopackages.example"}}, Allow: []string{"bind:/srv/media:ro"}, Name: "djangopackages", Repo: "djangopackages/djangopackages", Branch: "main", Routes: []pipeline.Route{
				{Host: "djangopackages.example", Service: "django", Port: 8000}, {Host: "djangopackages.example", Path: "/feeds", Service: "feeds", Port: 8080},
			}},
			{ID: "a2", Name: "newsletter", Repo: "djangopackages/newsletter", Branch: "main", Routes: []pipeline.Route{{Host: "news.djangopackages.example", Service: "web", Port: 8000}}},
			{ID: "a3", Name: "search", Repo: "djangopackages/search", Branch: "release", Paused: true,
				Mode: pipeline.Mode{Kind: pipeline.ModeMaintenance, Page: "<h1>Back at ten</h1>", Until: now.Add(10 * time.Minute)}, Routes: []pipeline.Route{{Host: "search.djangopackages.example", Service: "web", Port: 9200}}},
			{ID: "a4", Name: "fresh", Repo: "octocat/fresh", Branch: "main", Routes: []pipeline.Route{{Host: "fresh.example", Service: "web", Port: 80}}},
		},
		releases: map[string]pipeline.Release{}, logs: map[string]string{}, chunks: make(chan string),
		env: map[string][]pipeline.EnvVar{"a1": {
			{Name: "DATABASE_URL", Version: 12, UpdatedAt: now.Add(-50 * 24 * time.Hour)}, {Name: "SECRET_KEY", Version: 14, UpdatedAt: now.Add(-26 * time.Hour)},
		}},
		files: map[string][]pipeline.HeldFile{"a1": {
			{Path: ".env.local", Version: 13, Size: 412, UpdatedAt: now.Add(-26 * time.Hour)}, {Path: "config/production.yml", Version: 9, Size: 37 << 10, UpdatedAt: now.Add(-60 * 24 * time.Hour)},
		}},
		drift: map[string][]pipeline.Drift{"a2": {
			{Service: "redis", Container: "newsletter-redis-4f0c1d", What: "has the memory limit 64 MiB, it was made with 256 MiB", Fix: "set it back with docker update", Since: now.Add(-3 * time.Hour)},
			{Service: "web", Container: "newsletter-web-green-e04", What: "was put on network office", Fix: "deploy again, or docker network disconnect office newsletter-web-green-e04", Since: now.Add(-4 * time.Minute)},
		}},
		services: map[string][]pipeline.ServiceStatus{"djangopackages": {
			{Name: "django", Color: pipeline.Blue, Commit: sha("4be07d1"), Deployment: "d08", Status: "running", Health: "healthy", StartedAt: now.Add(-13 * time.Minute)},
			{Name: "feeds", Color: pipeline.Blue, Commit: sha("4be07d1"), Deployment: "d08", Status: "running", StartedAt: now.Add(-13 * time.Minute)},
			{Name: "django", Color: pipeline.Green, Commit: sha("9f31c02"), Deployment: "d09", Status: "running", Health: "healthy", StartedAt: now.Add(-8 * time.Second), Live: true},
		}},
		tokens: []pipeline.Token{
			{ID: "t1", Name: "admin", Role: pipeline.Admin, CreatedAt: now.Add(-400 * 24 * time.Hour), UsedAt: now.Add(-time.Minute)},
			{ID: "t2", Name: "ci", Role: pipeline.Deployer, CreatedAt: now.Add(-40 * 24 * time.Hour), RevokedAt: now.Add(-time.Hour)},
		},
	}
	m.dep = sampleDeployments(now)
	m.releases["r9"] = pipeline.Release{
		ID: "r9", AppID: "a1", Commit: sha("9f31c02"), EnvVersion: 14,
		Images: map[string]string{"django": "sha256:3fb2c4d5e6f7a8b9c0d1e2f391ac", "feeds": "sha256:77e1aa00bb11cc22dd33ee44"},
		Stack: stack.Stack{Services: []stack.Service{
			{Name: "django", Role: stack.Web, Env: map[string]string{"SECRET_KEY": "never-in-a-page"}}, {Name: "postgres", Role: stack.Keep},
		}},
	}
	m.logs["d09"], m.logs["d06"] = sampleLog(now, &m.dep[0]), failedLog(m)
	m.numbers = sampleStats(now)
	m.deliveries, m.audit = sampleDeliveries(now), sampleAudit(now)
	return m
}

func sampleDeployments(now time.Time) []pipeline.Deployment {
	at := func(d time.Duration) time.Time { return now.Add(-d) }
	dep := func(id, app, name, commit, subject string, state pipeline.State, c pipeline.Color, ago time.Duration) pipeline.Deployment {
		d := pipeline.Deployment{
			ID: id, AppID: app, AppName: name, Commit: sha(commit), Subject: subject, State: state, Color: c, Attempt: 1,
			Trigger: pipeline.Push, Actor: "octocat", CreatedAt: at(ago), StartedAt: at(ago - time.Second),
		}
		if state.Ended() {
			d.EndedAt = at(ago - 32*time.Second)
		}
		if state == pipeline.Live || state == pipeline.Retired {
			d.LiveAt = at(ago - 20*time.Second)
		}
		return d
	}
	watched := dep("d09", "a1", "djangopackages", "9f31c02", "Cache package grids", pipeline.Watching, pipeline.Green, 29*time.Second)
	watched.ReleaseID, watched.DeliveryID, watched.LiveAt = "r9", "72d3162e-cc78-11e3-81ab-4c9367dc0958", at(6*time.Second)
	failed := dep("d06", "a1", "djangopackages", "d90b1aa", "Upgrade to Django 6.1", pipeline.Failed, pipeline.Green, time.Hour)
	failed.Reason = "service django: not ready within 30s, last answer: connection refused; the server listens on 127.0.0.1:8000 only: bind it to 0.0.0.0:8000"
	building := dep("e05", "a2", "newsletter", "5ce09aa", "Send in batches", pipeline.Running, pipeline.Blue, 14*time.Second)
	building.Steps = []pipeline.StepRecord{
		{Attempt: 1, Name: "fetch", State: pipeline.StepDone, Detail: "by octocat", StartedAt: at(13 * time.Second), EndedAt: at(12 * time.Second)},
		{Attempt: 1, Name: "plan", State: pipeline.StepDone, Detail: "blue is idle", StartedAt: at(12 * time.Second), EndedAt: at(11900 * time.Millisecond)},
		{Attempt: 1, Name: "build", State: pipeline.StepRunning, StartedAt: at(11900 * time.Millisecond)},
	}
	stuck := dep("f03", "a3", "search", "77aa3e2", "Stay on the old index until the new one is warm", pipeline.Stuck, pipeline.Blue, 2*time.Hour)
	stuck.Reason = `the proxy did not answer; then undoing "cut over": not reachable`
	superseded := dep("d07", "a1", "djangopackages", "02c4f7e", "Fix typo in forks template", pipeline.Superseded, "", 13*time.Minute)
	superseded.Reason, superseded.StartedAt = "overtaken by 4be07d1", time.Time{}
	rolled := dep("f02", "a3", "search", "1b6d001", "Warm the index", pipeline.RolledBack, pipeline.Green, 26*time.Hour)
	rolled.Reason = "service web: turned unhealthy after the cutover"
	live := dep("d08", "a1", "djangopackages", "4be07d1", "Show fork counts on the package page", pipeline.Live, pipeline.Blue, 13*time.Minute)
	live.ReleaseID = "r8"
	list := []pipeline.Deployment{
		watched, live, superseded, failed,
		dep("d05", "a1", "djangopackages", "8c55d3b", "Faster grids", pipeline.Retired, pipeline.Green, 3*time.Hour),
		dep("d04", "a1", "djangopackages", "71f00c1", "Remove the old API", pipeline.Retired, pipeline.Blue, 27*time.Hour),
		building,
		dep("e04", "a2", "newsletter", "c1d8a90", "Bump gunicorn to 23.0", pipeline.Live, pipeline.Green, 30*time.Hour),
		dep("e03", "a2", "newsletter", "aa01bc2", "", pipeline.Retired, pipeline.Blue, 90*time.Hour),
		stuck, rolled,
	}
	failedSteps(&list[3])
	return list
}

func failedSteps(d *pipeline.Deployment) {
	t := d.StartedAt
	step := func(name string, s pipeline.StepState, took time.Duration, detail, problem string) {
		d.Steps = append(d.Steps, pipeline.StepRecord{Attempt: 1, Name: name, State: s, Detail: detail, Error: problem, StartedAt: t, EndedAt: t.Add(took)})
		t = t.Add(took)
	}
	step("fetch", pipeline.StepDone, 300*time.Millisecond, "by octocat", "")
	step("plan", pipeline.StepDone, 100*time.Millisecond, "green is idle", "")
	step("build", pipeline.StepDone, 11*time.Second, "1 image(s) built", "")
	step("start", pipeline.StepDone, 800*time.Millisecond, "2 container(s) on green", "")
	step("probe", pipeline.StepFailed, 30*time.Second, "", d.Reason)
	step("undo start", pipeline.StepUndone, 1200*time.Millisecond, "", "")
}

// failedLog puts two lines under each step of the failed deployment.
func failedLog(m *memory) string {
	var log strings.Builder
	d := &m.dep[3]
	for i := range d.Steps {
		d.Steps[i].LogOffset = int64(log.Len())
		s := d.Steps[i]
		fmt.Fprintf(&log, "%s begins\n%s: %s%s\n", s.Name, s.Name, s.Detail, s.Error)
	}
	return log.String() + "failed: " + d.Reason + "\n"
}

// sampleLog writes a log and the steps that belong to its places.
func sampleLog(now time.Time, d *pipeline.Deployment) string {
	var log strings.Builder
	t := now.Add(-28 * time.Second)
	step := func(name string, took time.Duration, detail string, lines ...string) {
		s := pipeline.StepRecord{Attempt: 1, Name: name, State: pipeline.StepDone, Detail: detail, StartedAt: t, EndedAt: t.Add(took), LogOffset: int64(log.Len())}
		if took == 0 {
			s.State, s.EndedAt = pipeline.StepRunning, time.Time{}
		}
		d.Steps = append(d.Steps, s)
		t = t.Add(took)
		for _, line := range lines {
			log.WriteString(line + "\n")
		}
		if took > 0 {
			log.WriteString(name + ": " + detail + "\n")
		}
	}
	var build []string
	for i := range 90 {
		build = append(build, fmt.Sprintf("#%d [%d/14] RUN \x1b[36mpip install\x1b[0m package-%d", i/6+1, i/6+1, i))
	}
	step("fetch", 300*time.Millisecond, "Cache package grids, by octocat", "fetching main of djangopackages/djangopackages")
	step("plan", 100*time.Millisecond, "green is idle", "  build django", "  create django, feeds on green", "  keep postgres")
	step("build", 13200*time.Millisecond, "1 image(s) built", build...)
	step("start", 900*time.Millisecond, "2 container(s) on green")
	step("probe", 3400*time.Millisecond, "2 of 2 services answered", "  GET /health/ → \x1b[33mconnection refused\x1b[0m", "  GET /health/ → \x1b[32m200\x1b[0m in 41 ms", "  GET /health/ → \x1b[1;32m200\x1b[0m in 12 ms")
	step("cut over", 250*time.Millisecond, "visitors moved to green in 21µs (durable in 1.3ms, table version 212), proved through the public listener")
	step("guard", 0, "")
	step("hand over", 0, "")
	step("drain", 0, "", "drain: 3 requests open on blue")
	return log.String()
}

func sampleStats(now time.Time) web.Stats {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // numbers of a picture
	blue := web.Traffic{AppID: "a1", Deployment: "d08", Color: pipeline.Blue, Inflight: 3}
	green := web.Traffic{AppID: "a1", Deployment: "d09", Color: pipeline.Green, Current: true, Inflight: 2}
	news := web.Traffic{AppID: "a2", Deployment: "e04", Color: pipeline.Green, Current: true}
	for i := range 600 {
		at := now.Add(-time.Minute).Add(time.Duration(i) * 100 * time.Millisecond)
		n := uint32(3 + r.IntN(4) + 2*(i/100%2))
		if at.Before(now.Add(-6 * time.Second)) {
			blue.Recent = append(blue.Recent, web.Bucket{At: at, Counts: web.Counts{Requests: n}})
		} else {
			green.Recent = append(green.Recent, web.Bucket{At: at, Counts: web.Counts{Requests: n}})
		}
		if i%7 == 0 {
			bad := web.Counts{Requests: uint32(1 + r.IntN(3))}
			if i > 380 && i < 420 {
				bad.ServerErrors = 1
			}
			news.Recent = append(news.Recent, web.Bucket{At: at, Counts: bad})
		}
	}
	for i := range 4 {
		blue.Recent = append(blue.Recent, web.Bucket{At: now.Add(-6 * time.Second).Add(time.Duration(i) * 100 * time.Millisecond), Counts: web.Counts{Requests: 1}})
	}
	return web.Stats{At: now, Bucket: 100 * time.Millisecond, Traffic: []web.Traffic{blue, green, news}}
}

func sampleDeliveries(now time.Time) []pipeline.Delivery {
	push := func(id string, ago time.Duration, ref, commit string, o pipeline.Outcome, message string, apps ...pipeline.Verdict) pipeline.Delivery {
		return pipeline.Delivery{
			ID: id, Event: "push", Repo: "djangopackages/djangopackages", Ref: "refs/heads/" + ref, Commit: sha(commit), Sender: "octocat",
			ReceivedAt: now.Add(-ago), Outcome: o, Message: message, Apps: apps,
		}
	}
	return []pipeline.Delivery{
		push("g5", 29*time.Second, "main", "9f31c02", pipeline.OutcomeQueued, "Queued for djangopackages.",
			pipeline.Verdict{App: "djangopackages", AppID: "a1", Outcome: pipeline.OutcomeQueued, Message: "commit 9f31c02 is deployed", DeploymentID: "d09"}),
		push("g4", 6*time.Minute, "fix-typo", "1b2c3d4", pipeline.OutcomeIgnored, "No app follows the branch fix-typo; djangopackages follows main."),
		push("g3", 13*time.Minute, "main", "4be07d1", pipeline.OutcomeCoalesced, "This commit is live already."),
		push("g2", time.Hour, "main", "8c55d3b", pipeline.OutcomeDuplicate, "GitHub sent this delivery before; it was deployed then."),
		{ID: "g1", Event: "ping", Repo: "djangopackages/djangopackages", ReceivedAt: now.Add(-50 * time.Hour), Outcome: pipeline.OutcomePong, Message: "The webhook works."},
	}
}

func sampleAudit(now time.Time) []pipeline.AuditEntry {
	return []pipeline.AuditEntry{
		{ID: "3", At: now.Add(-3 * time.Minute), Actor: "octocat", From: "192.0.2.7", Action: "env.set", App: "djangopackages", Target: "SECRET_KEY", Detail: "version 14"},
		{ID: "2", At: now.Add(-2 * time.Hour), Actor: "ci", From: "198.51.100.4", Action: "deployment.create", App: "search", Target: "f03", Detail: "manual " + sha("77aa3e2")},
		{ID: "1", At: now.Add(-80 * 24 * time.Hour), Actor: "admin", From: "192.0.2.7", Action: "app.create", App: "search", Target: "a3", Detail: "djangopackages/search release"},
	}
}

func sampleSettings() []web.Setting {
	return []web.Setting{
		{Name: "SWINGBRIDGE_PUBLIC_URL", Value: "https://deploy.example", Meaning: "where people and GitHub reach this server"},
		{Name: "SWINGBRIDGE_WEBHOOK_SECRET", Value: "set, not shown", Meaning: "signs deliveries"},
		{Name: "SWINGBRIDGE_PROXY", Meaning: "socket of a proxy process; not set: the proxy is in this process"},
	}
}

// samplePlan is what the next deployment would do.
func samplePlan(commit string) pipeline.PlanSummary {
	if commit == "" {
		commit = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
	}
	return pipeline.PlanSummary{
		Commit:  commit,
		Build:   []string{"build django and django-q from compose/django/Dockerfile in ."},
		Create:  []string{"start django on green (a route names it), probe: GET /health/", "create worker django-q on green (it runs the image of django), and start it after the cutover"},
		Release: []string{"run the release command in the new image of django, for 10m at most, once for this release"},
		Replace: []string{
			"replace postgres: its environment (POSTGRES_HOST_AUTH_METHOD) changes",
			"hand worker django-q over after the cutover: the old one stops last, within 10s",
			"swing djangopackages.org to green, then drain and stop blue (8c5d3f1)",
		},
		Blink:   []string{"postgres is away from its stop, which may take 30s, until the new one is up; requests are held meanwhile, each for 1m at most"},
		Keep:    []string{"use the image redis:5.0 of redis that is there already", "leave redis alone: nothing of it changes (it runs a ready image)", "leave volume postgres_data alone"},
		Aside:   []string{"caddy publishes port 80 of the host: Swingbridge's own proxy stands there, so it is not started"},
		Missing: []string{"the permission bind:/var/log/django: swingbridge app allow djangopackages bind:/var/log/django"},
		Permissions: pipeline.PermissionDiff{
			Live: sha("4be07d1"), Had: []string{"bind:/srv/media:ro", "port:5432"}, New: []string{"bind:/var/log/django", "cap:NET_ADMIN"}, Gone: []string{"port:5432"},
			Missing: []string{"bind:/var/log/django"}, Allow: "swingbridge app allow djangopackages bind:/var/log/django",
		},
	}
}
