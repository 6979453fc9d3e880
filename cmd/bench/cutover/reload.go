package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	// What the configuration names.
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

// reloadCommand is the contrast: the same Caddy in the way it is commonly used,
// with a route per app in its configuration, which is loaded anew for each
// cutover. A POST of 0 or 1 to its socket chooses the color.
func reloadCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("reload", flag.ContinueOnError)
	var c colors
	c.flags(f)
	listen := f.String("listen", "", "address that visitors dial")
	socket := f.String("socket", "", "unix socket for cutovers")
	routes := f.Int("routes", 1, "apps with a route each")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	load := func(color int) error {
		raw, err := json.Marshal(reloadConfig(*listen, *routes, color, c))
		if err != nil {
			return err
		}
		return caddy.Load(raw, true)
	}
	if err := load(0); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", *socket)
	if err != nil {
		return err
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var color int
		err := json.NewDecoder(r.Body).Decode(&color)
		if err == nil {
			err = load(color)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, s.Close(), caddy.Stop())
}

// reloadConfig is what Caddy documents for such a site, with its defaults.
func reloadConfig(listen string, routes, color int, c colors) any {
	type object = map[string]any
	type list = []any
	route := func(host string, to string) object {
		return object{
			"match":    list{object{"host": list{host}}},
			"handle":   list{object{"handler": "reverse_proxy", "upstreams": list{object{"dial": to}}}},
			"terminal": true,
		}
	}
	all := list{route(otherHost, c.other.String()), route(hostOf(0), c.own[color].String())}
	for app := 1; app < routes; app++ {
		all = append(all, route(hostOf(app), c.own[0].String()))
	}
	return object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"apps": object{"http": object{"servers": object{"site": object{
			"listen": list{listen}, "routes": all, "automatic_https": object{"disable": true},
		}}}},
	}
}
