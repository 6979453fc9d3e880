package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/server"
	"github.com/swingbridge/swingbridge/server/api"
	"github.com/swingbridge/swingbridge/server/auth"
	"github.com/swingbridge/swingbridge/server/web"
)

// pages makes what people see.
func (p *plant) pages() (server.Pages, error) {
	w, err := web.New(web.Options{
		Store: p.store, Commands: p.commands, Logs: p.logs, Auth: p.auth,
		AuthErrors: web.AuthErrors{Unauthorized: auth.ErrUnauthorized, Limited: auth.ErrLimited, SetupClosed: auth.ErrSetupClosed},
		Actor:      signedIn, Stats: p.stats, Doctor: p.webDoctor, Drift: p.runner.Drift, Follow: web.FollowLogOf(p.logs.Follow),
		Plain: p.cfg.HTTPS == "", Settings: p.settings(), Now: time.Now, Logger: p.log,
	})
	if err != nil {
		return server.Pages{}, err
	}
	return server.Pages{
		Apps: w.Apps, NewApp: w.NewApp, AddApp: w.AddApp, App: w.App, RedeployApp: w.RedeployApp, RollBackApp: w.RollBackApp,
		Deployment: w.Deployment, Log: w.Log, Stream: w.Stream, Cancel: w.Cancel, RollBack: w.RollBack, Redeploy: w.Redeploy,
		Resolve: w.Resolve, Deliveries: w.Deliveries, Replay: w.Replay, Audit: w.Audit, Doctor: w.Doctor, Settings: w.Settings,
		Plan: w.Plan, AppSettings: w.AppSettings, ChangeApp: w.ChangeApp, SetMode: w.SetMode, SetEnv: w.SetEnv, UnsetEnv: w.UnsetEnv,
		SetFile: w.SetFile, UnsetFile: w.UnsetFile,
		CreateToken: w.CreateToken, RevokeToken: w.RevokeToken,
		Login: w.Login, DoLogin: w.DoLogin, Logout: w.Logout, Setup: w.Setup, DoSetup: w.DoSetup,
		Static: http.HandlerFunc(w.Static), NotFound: w.NotFound, NotPermitted: w.NotPermitted,
	}, nil
}

func signedIn(ctx context.Context) (pipeline.Actor, bool) {
	by := api.ActorFrom(ctx)
	return by, by.Name != ""
}

// stats gives the proxy's counts in the pages' terms.
func (p *plant) stats(ctx context.Context) (web.Stats, error) {
	from, err := p.plane.Stats(ctx)
	if err != nil {
		return web.Stats{}, err
	}
	out := web.Stats{At: from.At, Bucket: from.Bucket}
	for _, t := range from.Traffic {
		to := web.Traffic{
			AppID: t.AppID, Deployment: t.Deployment, Color: t.Color, Current: t.Current, Inflight: t.Inflight, Total: web.Counts(t.Total),
		}
		for _, b := range t.Recent {
			to.Recent = append(to.Recent, web.Bucket{At: b.At, Counts: web.Counts(b.Counts)})
		}
		out.Traffic = append(out.Traffic, to)
	}
	return out, nil
}

func (p *plant) webDoctor(ctx context.Context) []web.Check {
	var out []web.Check
	for _, c := range p.doctor(ctx) {
		out = append(out, web.Check{Name: c.Name, OK: c.OK, Message: c.Message, Fix: c.Fix})
	}
	return out
}

// settings lists what is set, without a secret.
func (p *plant) settings() []web.Setting {
	is := func(secret string) string {
		if secret == "" {
			return "not set"
		}
		return "set"
	}
	or := func(value, none string) string {
		if value == "" {
			return none
		}
		return value
	}
	identity := "none"
	if targets := p.github.Targets(); len(targets) > 0 {
		var names []string
		for _, t := range targets {
			names = append(names, string(t))
		}
		identity = "reports as " + strings.Join(names, " and ")
	}
	return []web.Setting{
		{Name: "Installation", Value: p.install, Meaning: "carried by every name and label on the engine"},
		{Name: "SWINGBRIDGE_DATA", Value: p.cfg.Data, Meaning: "where everything is kept"},
		{Name: "SWINGBRIDGE_LISTEN", Value: p.cfg.Listen, Meaning: "pages, API, webhooks"},
		{Name: "SWINGBRIDGE_HTTP", Value: p.cfg.HTTP, Meaning: "visitors"},
		{Name: "SWINGBRIDGE_HTTPS", Value: or(p.cfg.HTTPS, "no TLS"), Meaning: "visitors, with TLS"},
		{Name: "SWINGBRIDGE_PROXY", Value: or(p.cfg.Proxy, "in process"), Meaning: "who has the data plane"},
		{Name: "SWINGBRIDGE_PUBLIC_URL", Value: or(p.cfg.PublicURL, "not set"), Meaning: "base of links given to GitHub"},
		{Name: "SWINGBRIDGE_WEBHOOK_SECRET", Value: is(p.cfg.WebhookSecret), Meaning: "what GitHub signs deliveries with"},
		{Name: "SWINGBRIDGE_ADMIN_TOKEN", Value: is(p.cfg.AdminToken), Meaning: "an API token for automation"},
		{Name: "GitHub", Value: identity, Meaning: "token or App"},
		{Name: "SWINGBRIDGE_GITHUB_API_URL", Value: p.cfg.GitHubAPIURL, Meaning: "REST base"},
		{Name: "SWINGBRIDGE_GITHUB_CLONE_URL", Value: p.cfg.GitHubCloneURL, Meaning: "base of clone addresses"},
		{Name: "SWINGBRIDGE_SUBNETS", Value: p.cfg.Subnets, Meaning: "range for our networks"},
		{Name: "SWINGBRIDGE_IMAGES_LIMIT", Value: or(p.cfg.ImagesLimit, "no limit"), Meaning: "what an app's kept images may take"},
		{Name: "SWINGBRIDGE_FREE_SPACE", Value: p.cfg.FreeSpace, Meaning: "what must be free before a build"},
	}
}
