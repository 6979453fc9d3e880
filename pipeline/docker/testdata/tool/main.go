// Command tool is what the tests' images consist of: a server and the commands
// that Dockerfiles in tests run.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		serve()
		return
	}
	switch os.Args[1] {
	case "say":
		fmt.Println(os.Args[2])
	case "fail":
		code, _ := strconv.Atoi(os.Args[2])
		fmt.Println("one line")
		fmt.Println("the disk is on \x1b[31mfire\x1b[0m")
		if secret, err := os.ReadFile("/run/secrets/token"); err == nil {
			fmt.Printf("the token is %s\n", secret)
		}
		os.Exit(code)
	case "exit":
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	case "secret":
		secret, err := os.ReadFile("/run/secrets/token")
		fmt.Printf("secret of %d bytes, %v\n", len(secret), err)
		if len(secret) == 0 {
			os.Exit(1)
		}
		if err := os.WriteFile("/length", []byte(strconv.Itoa(len(secret))), 0o644); err != nil {
			panic(err)
		}
	case "wait":
		fmt.Println("waiting")
		time.Sleep(time.Minute)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ignoring")
		time.Sleep(time.Minute)
	case "healthy":
		return
	case "leave":
		if err := os.WriteFile(os.Args[2], nil, 0o644); err != nil {
			panic(err)
		}
	case "look":
		_, err := os.Stat(os.Args[2])
		fmt.Println("there:", err == nil)
	case "args":
		fmt.Println(os.Args[2:])
	}
}

func serve() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGINT)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	http.HandleFunc("/dial", func(w http.ResponseWriter, r *http.Request) {
		conn, err := net.DialTimeout("tcp", r.FormValue("to"), 2*time.Second)
		if err != nil {
			fmt.Fprint(w, "refused: ", err)
			return
		}
		conn.Close()
		fmt.Fprint(w, "reached")
	})
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		content, err := os.ReadFile(r.FormValue("path")) // not ServeFile: /proc has no sizes
		fmt.Fprint(w, string(content))
		if err != nil {
			fmt.Fprint(w, err)
		}
	})
	http.HandleFunc("/stat", func(w http.ResponseWriter, r *http.Request) {
		info, err := os.Stat(r.FormValue("path"))
		if err != nil {
			fmt.Fprint(w, err)
			return
		}
		owner := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(w, "%v %d:%d", info.Mode(), owner.Uid, owner.Gid)
	})
	go func() { panic(http.ListenAndServe(":8080", nil)) }()
	fmt.Println("serving")
	fmt.Fprintln(os.Stderr, "on standard error")
	fmt.Println("ended by", <-signals)
}
