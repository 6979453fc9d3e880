package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

// plainCommand is the least that a proxy in Go can be: net/http's own, with the
// forwarding headers that everybody sets, to one target.
func plainCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("plain", flag.ContinueOnError)
	listen := f.String("listen", "", "address to listen on")
	to := f.String("to", "", "address of the target")
	room := f.Int("room", 0, "MB of garbage that may gather on top of what Go lets gather, as in our own proxy")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	unused := make([]byte, *room<<20)
	defer runtime.KeepAlive(unused)
	s := &http.Server{Handler: plainProxy(*to), ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, s.Close())
}

func plainProxy(to string) *httputil.ReverseProxy {
	target := &url.URL{Scheme: "http", Host: to}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		// As many connections are kept as the proxy keeps that it is compared
		// with; otherwise the comparison is one of dialing.
		Transport: &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true},
	}
}
