package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/swingbridge/swingbridge/server/api"
)

// Options is what the server is made of.
type Options struct {
	API     *api.API
	Pages   Pages
	Auth    Identifier
	Webhook http.Handler // nil: 503, no secret is known
	Ready   []Check
	Metrics *Metrics // nil: one of its own
	Listen  string   // address, like 127.0.0.1:8080
	Logger  *slog.Logger
	Now     func() time.Time
}

// Server answers webhooks, programs and people.
type Server struct {
	api         *api.API
	pages       Pages
	auth        Identifier
	webhook     http.Handler
	parts       []*part
	metrics     *Metrics
	listen      string
	logger      *slog.Logger
	now         func() time.Time
	crossOrigin *http.CrossOriginProtection
	handler     http.Handler

	streams streams
	started chan struct{}
	addr    net.Addr // set before started is closed
}

// New makes a server that is ready to Run. It refuses a table of routes with a
// line that does not say who may use it.
func New(o Options) (*Server, error) {
	if o.API == nil || o.Auth == nil {
		return nil, errors.New("server: api and auth are needed")
	}
	s := &Server{
		api: o.API, pages: o.Pages, auth: o.Auth, webhook: o.Webhook, metrics: o.Metrics, listen: o.Listen,
		logger: o.Logger, now: o.Now, crossOrigin: http.NewCrossOriginProtection(), started: make(chan struct{}),
	}
	if s.webhook == nil {
		s.webhook = http.HandlerFunc(noWebhook)
	}
	if s.metrics == nil {
		s.metrics = NewMetrics(MetricsOptions{})
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, check := range o.Ready {
		s.parts = append(s.parts, &part{Check: check, now: s.now})
	}
	router, err := s.router(s.Routes())
	if err != nil {
		return nil, err
	}
	s.handler = s.observe(s.recovers(hardens(limits(s.sameSite(router)))))
	return s, nil
}

// Handler is everything that the server answers, without a listener.
func (s *Server) Handler() http.Handler { return s.handler }

// Started is closed once the server listens.
func (s *Server) Started() <-chan struct{} { return s.started }

// Addr is where the server listens; nil before Started.
func (s *Server) Addr() net.Addr {
	select {
	case <-s.started:
		return s.addr
	default:
		return nil
	}
}

// shutdownTime is how long requests that are under way may take to end.
const shutdownTime = 10 * time.Second

// Run listens and answers until ctx ends, then lets what is under way end, for
// 10 seconds at most. It returns nil after such an end. It can be called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.streams.end()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.addr = listener.Addr()
	close(s.started)
	web := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.streams.end()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err = web.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		s.logger.WarnContext(ctx, "requests were cut off at the shutdown")
		err = web.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

func noWebhook(w http.ResponseWriter, _ *http.Request) {
	api.WriteProblem(w, api.Problem{
		Status: http.StatusServiceUnavailable, Code: api.CodeUnavailable,
		Detail: "webhooks are refused: set SWINGBRIDGE_WEBHOOK_SECRET",
	})
}
