// Command app is the server that the end-to-end tests deploy. It answers every
// request with the text of /page.txt; its flags make it misbehave.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8000", "address to listen on")
	status := flag.Int("status", http.StatusOK, "status of every answer")
	fail := flag.String("fail", "", "say this and end at once")
	slow := flag.Duration("slow", 0, "listen only after this time")
	die := flag.Duration("die", 0, "end this time after the first visitor")
	sour := flag.Duration("sour", 0, "answer 500 from this time after the first visitor on")
	linger := flag.Duration("linger", 0, "go on for this time after SIGTERM")
	say := flag.String("say", "", "print this variable at the start")
	text := flag.String("page", "", "text of the page, instead of the file's")
	alone := flag.String("alone", "", "file of a volume that one container at a time may hold; who finds it held leaves the file's name with .twice behind")
	note := flag.String("note", "", "leave a file of a new name in this folder, and end at once")
	flag.Parse()
	if *note != "" {
		f, err := os.CreateTemp(*note, "note-")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("noted in", f.Name())
		return
	}
	if *alone != "" {
		defer hold(*alone).Close()
	}
	if *say != "" {
		fmt.Printf("%s is %s\n", *say, os.Getenv(*say))
	}
	if *fail != "" {
		fmt.Fprintln(os.Stderr, "loading settings")
		fmt.Fprintln(os.Stderr, *fail)
		os.Exit(3)
	}
	page := []byte(*text)
	if *text == "" {
		var err error
		if page, err = os.ReadFile("/page.txt"); err != nil {
			log.Fatal(err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if *linger > 0 {
		ctx = later(ctx, *linger)
	}
	select {
	case <-time.After(*slow):
	case <-ctx.Done():
		return
	}
	if err := serve(ctx, *listen, &app{page: page, status: *status, die: *die, sour: *sour}); err != nil {
		log.Fatal(err)
	}
}

// hold holds the file until it is closed, or the process ends.
func hold(name string) io.Closer {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = os.WriteFile(name+".twice", nil, 0o600)
		log.Fatalf("somebody else holds %s: %v", name, err)
	}
	return f
}

// later ends some time after ctx does.
func later(ctx context.Context, d time.Duration) context.Context {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return out
}

// app answers. / is the page, /env?name=X a variable, /linger?for=2s the page
// after that time, with a beginning at once, /ask?of=URL what another server
// says, /list?in=DIR the names in a folder.
type app struct {
	page   []byte
	status int
	die    time.Duration
	sour   time.Duration
	once   sync.Once
	turned atomic.Bool
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if a.sour > 0 && !strings.HasPrefix(r.UserAgent(), "Swingbridge-") {
		a.once.Do(func() { time.AfterFunc(a.sour, func() { a.turned.Store(true) }) })
	}
	if a.turned.Load() {
		http.Error(w, "the milk has turned", http.StatusInternalServerError)
		return
	}
	if a.die > 0 && !strings.HasPrefix(r.UserAgent(), "Swingbridge-") {
		a.once.Do(func() {
			time.AfterFunc(a.die, func() {
				fmt.Fprintln(os.Stderr, "out of cookies")
				os.Exit(7)
			})
		})
	}
	switch r.URL.Path {
	case "/env":
		fmt.Fprintln(w, os.Getenv(r.URL.Query().Get("name")))
		return
	case "/ask":
		resp, err := http.Get(r.URL.Query().Get("of"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
		return
	case "/list":
		entries, err := os.ReadDir(r.URL.Query().Get("in"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		for _, e := range entries {
			fmt.Fprintln(w, e.Name())
		}
		return
	case "/linger":
		d, err := time.ParseDuration(r.URL.Query().Get("for"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, "a moment")
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return
		}
		_, _ = w.Write(a.page)
		return
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.page)
}

func serve(ctx context.Context, listen string, a *app) error {
	s := &http.Server{Addr: listen, Handler: a, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
