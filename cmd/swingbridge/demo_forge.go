package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/github/minihub"
	"github.com/swingbridge/swingbridge/pipeline/source/gitserver"
	"github.com/swingbridge/swingbridge/webhook"
)

// demoRepo is the repository that the demo deploys.
const demoRepo = "octocat/harbor"

// demoForge is a GitHub on this machine: git over HTTP, checks and deployments
// over REST, signed webhooks.
type demoForge struct {
	hub    *minihub.Hub
	repo   *gitserver.Repo
	server *http.Server
	url    string
	key    *rsa.PrivateKey
	secret string
}

func newDemoForge(ctx context.Context, dir, secret string) (*demoForge, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the app's key: %w", err)
	}
	root := filepath.Join(dir, "forge")
	repo, err := gitserver.Create(root, demoRepo)
	if err != nil {
		return nil, fmt.Errorf("make the repository: %w", err)
	}
	f := &demoForge{hub: minihub.New(), repo: repo, key: key, secret: secret}
	f.hub.AddApp(minihub.App{ID: 1, Key: &key.PublicKey})
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", f.hub))
	mux.Handle("/", gitserver.Handler(root))
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for git: %w", err)
	}
	f.url = "http://" + l.Addr().String() + "/"
	f.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = f.server.Serve(l) }() // ends with Close
	return f, nil
}

func (f *demoForge) close() error { return f.server.Close() }

// pem is the app's private key as GitHub hands it out.
func (f *demoForge) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(f.key)}))
}

// push commits files and sends the signed webhook, as GitHub does.
func (f *demoForge) push(ctx context.Context, server string, files map[string]string, message string) (deployment string, err error) {
	before, err := f.repo.Head("main")
	if errors.Is(err, fs.ErrNotExist) {
		before = "0000000000000000000000000000000000000000"
	}
	sha, err := f.repo.Commit(ctx, "main", files, message)
	if err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	f.hub.SetHead(demoRepo, "main", sha)
	body, err := json.Marshal(map[string]any{
		"ref": "refs/heads/main", "before": before, "after": sha, "deleted": false, "forced": false,
		"repository":  map[string]any{"id": 1, "full_name": demoRepo, "name": "harbor"},
		"sender":      map[string]any{"login": "octocat"},
		"pusher":      map[string]any{"name": "octocat"},
		"head_commit": map[string]any{"id": sha, "message": message},
	})
	if err != nil {
		return "", fmt.Errorf("encode the push: %w", err)
	}
	return f.deliver(ctx, server, body)
}

func (f *demoForge) deliver(ctx context.Context, server string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("deliver: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-GitHub-Delivery", pipeline.NewID(time.Now()))
	req.Header.Set("X-Hub-Signature-256", webhook.Sign([]byte(f.secret), body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("deliver: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // decoded below
	var answer struct {
		Outcome      string `json:"outcome"`
		Message      string `json:"message"`
		DeploymentID string `json:"deployment_id"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return "", fmt.Errorf("read the answer to the delivery: %w", err)
	}
	if resp.StatusCode != http.StatusAccepted || answer.DeploymentID == "" {
		return "", fmt.Errorf("the delivery was answered %d %s: %s", resp.StatusCode, answer.Outcome, answer.Message)
	}
	return answer.DeploymentID, nil
}

// demoBase writes this program as the root of an image.
func demoBase(w io.Writer) error {
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open this program: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at this program: %w", err)
	}
	out := tar.NewWriter(w)
	if err := out.WriteHeader(&tar.Header{Name: "swingbridge", Mode: 0o755, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	if _, err := io.Copy(out, f); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return out.Close()
}
