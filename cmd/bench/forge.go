package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/swingbridge/swingbridge/cmd/bench/subcommand"
	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
)

// forge is a GitHub on this machine, with one repository for Swingbridge and
// one for the floor: same content, same way there.
type forge struct {
	hub    *minihub.Hub
	url    string
	server *http.Server
	repos  map[string]*gitserver.Repo
}

// key makes the App's key; the server reads the same file.
func key(_ context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("key", flag.ContinueOnError)
	file := f.String("file", "", "where to write it")
	if err := subcommand.Parse(f, args); err != nil {
		return err
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}
	return os.WriteFile(*file, pem.EncodeToMemory(block), 0o600)
}

func readKey(file string) (*rsa.PrivateKey, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("the key file is not PEM")
	}
	return x509.ParsePKCS1PrivateKey(block.Bytes)
}

func newForge(ctx context.Context, address, dir, keyFile string, repos ...string) (*forge, error) {
	k, err := readKey(keyFile)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "forge")
	f := &forge{hub: minihub.New(), repos: map[string]*gitserver.Repo{}, url: "http://" + address + "/"}
	f.hub.AddApp(minihub.App{ID: 1, Key: &k.PublicKey})
	for _, name := range repos {
		if f.repos[name], err = gitserver.Create(root, name); err != nil {
			return nil, err
		}
		f.hub.SetHead(name, "main", "") // the repository is there, the branch is not
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", f.hub))
	mux.Handle("/", gitserver.Handler(root))
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	f.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = f.server.Serve(l) }() // ends with close
	return f, nil
}

func (f *forge) close() { _ = f.server.Close() } // nobody asks any more

// commit puts a version of the sample app on main.
func (f *forge) commit(ctx context.Context, repo, base, version string) (sha string, err error) {
	sha, err = f.repos[repo].Commit(ctx, "main", map[string]string{
		"Dockerfile":  "FROM " + base + "\nCOPY page.txt /page.txt\nEXPOSE 8000\nENTRYPOINT [\"/swingbridge\", \"demo-app\"]\n",
		"page.txt":    version + "\n",
		"compose.yml": "services:\n  web:\n    build: .\nx-swingbridge: {guard: 200ms}\n",
	}, version)
	if err == nil {
		f.hub.SetHead(repo, "main", sha)
	}
	return sha, err
}

// pushBody is what GitHub says of a push, as far as anyone here reads it.
func pushBody(repo, sha, message string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"ref": "refs/heads/main", "before": "0000000000000000000000000000000000000000", "after": sha,
		"deleted": false, "forced": false,
		"repository":  map[string]any{"id": 1, "full_name": repo},
		"sender":      map[string]any{"login": "octocat"},
		"head_commit": map[string]any{"id": sha, "message": message},
	})
}

// sign is GitHub's signature of a body.
func sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// deliver sends a push to the server and returns the deployment it queued.
func deliver(ctx context.Context, server, secret string, body []byte) (deployment string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", pipeline.NewID(time.Now()))
	req.Header.Set("X-Hub-Signature-256", sign([]byte(secret), body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // decoded below
	var answer struct {
		Message      string `json:"message"`
		DeploymentID string `json:"deployment_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	if answer.DeploymentID == "" {
		return "", fmt.Errorf("the delivery was answered %d: %s", resp.StatusCode, answer.Message)
	}
	return answer.DeploymentID, nil
}
