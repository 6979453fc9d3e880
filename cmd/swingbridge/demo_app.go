package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// demoApp is the sample app of the demo: this very program in a container, so
// that the demo needs no other image and no network.
func (p *program) demoApp() *cobra.Command {
	var fail bool
	var page, listen string
	c := &cobra.Command{
		Use: "demo-app", Short: "The sample app that the demo deploys", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := os.ReadFile(page)
			if err != nil {
				return fmt.Errorf("read page: %w", err)
			}
			if fail {
				fmt.Fprintln(p.err, "loading settings")
				return fmt.Errorf("settings: the variable PAYMENT_URL is not set (this is what the demo's broken push does)")
			}
			return serveDemoApp(cmd.Context(), listen, text)
		},
	}
	c.Flags().BoolVar(&fail, "fail", false, "end at once, as a broken release does")
	c.Flags().StringVar(&page, "page", "/page.txt", "file with the text of the page")
	c.Flags().StringVar(&listen, "listen", ":8000", "address to listen on")
	return c
}

// serveDemoApp answers every request with the page; /slow takes two seconds.
func serveDemoApp(ctx context.Context, listen string, page []byte) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(2 * time.Second):
		case <-r.Context().Done():
			return
		}
		_, _ = w.Write(page)
	})
	s := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.ListenAndServe() }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
