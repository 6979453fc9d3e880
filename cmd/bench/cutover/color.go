package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
)

// Headers by which an answer says who gave it, and when the request was there.
const (
	releaseHeader  = "X-Release"
	receivedHeader = "X-Received" // Unix time in ns
)

// color is one release of an app, as a container would be.
type color struct{ name string }

// colorCommand serves releases of apps, each on a port of its own, until it is
// ended.
func colorCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("color", flag.ContinueOnError)
	serve := f.String("serve", "", "NAME=ADDRESS of each release, separated by commas")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	var servers []*http.Server
	failed := make(chan error, 1)
	for one := range strings.SplitSeq(*serve, ",") {
		name, address, _ := strings.Cut(one, "=")
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		s := &http.Server{Handler: color{name}.handler(), ReadHeaderTimeout: time.Minute}
		servers = append(servers, s)
		go func() { failed <- s.Serve(l) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for _, s := range servers {
		err = errors.Join(err, s.Close())
	}
	return err
}

func (c color) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", c.hello)
	mux.HandleFunc("GET /slow", c.slow)
	mux.HandleFunc("POST /upload", c.upload)
	mux.HandleFunc("GET /events", c.events)
	mux.HandleFunc("GET /socket", c.socket)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(releaseHeader, c.name)
		w.Header().Set(receivedHeader, strconv.FormatInt(time.Now().UnixNano(), 10))
		mux.ServeHTTP(w, r)
	})
}

// What is written to a visitor who left is lost, which the visitor notices.

func (c color) hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.name) }

func (c color) slow(w http.ResponseWriter, r *http.Request) {
	lasts, err := time.ParseDuration(r.URL.Query().Get("lasts"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if wait(r.Context(), lasts) == nil {
		_, _ = io.WriteString(w, c.name)
	}
}

// upload reads all of the body before it answers with its length.
func (c color) upload(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprint(w, n)
}

// events sends the number of events that is asked for, and then the end.
func (c color) events(w http.ResponseWriter, r *http.Request) {
	count, err := strconv.Atoi(r.URL.Query().Get("count"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for range count {
		_, err := fmt.Fprintf(w, "data: %s\n\n", c.name)
		if errors.Join(err, http.NewResponseController(w).Flush(), wait(r.Context(), eventPause)) != nil {
			return
		}
	}
	_, _ = io.WriteString(w, eventEnd)
}

// socket echoes, with the release's name before each message.
func (c color) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer func() { _ = conn.CloseNow() }() // closed already, or to be cut
	for {
		_, text, err := conn.Read(r.Context())
		if err == nil {
			err = conn.Write(r.Context(), websocket.MessageText, append([]byte(c.name+" "), text...))
		}
		if err != nil {
			return
		}
	}
}

// wait is a pause that ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
