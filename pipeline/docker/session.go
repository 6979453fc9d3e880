package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// isHub knows the names of Docker's own registry: people's, the credentials file's
// and the builder's.
func isHub(host string) bool {
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io", "registry.docker.io":
		return true
	}
	return false
}

// credentials are what "docker login" left, by registry host.
type credentials map[string]credential

type credential struct {
	user, password string
	token          string // identity token, instead of a password
}

// readCredentials reads Docker's config file. Helpers that it names are programs
// and are not run; a file that is absent has no credentials.
func readCredentials(file string) (credentials, error) {
	out := credentials{}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || file == "" {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read registry credentials: %w", err)
	}
	var config struct {
		Auths map[string]struct {
			Auth          string `json:"auth"`
			Username      string `json:"username"`
			Password      string `json:"password"`
			IdentityToken string `json:"identitytoken"`
		} `json:"auths"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("read registry credentials: %s is not JSON that docker login writes", file)
	}
	for key, entry := range config.Auths {
		c := credential{user: entry.Username, password: entry.Password, token: entry.IdentityToken}
		if plain, err := base64.StdEncoding.DecodeString(entry.Auth); err == nil && len(plain) > 0 {
			user, password, _ := strings.Cut(string(plain), ":")
			c.user, c.password = user, strings.TrimRight(password, "\x00")
		}
		if c.password != "" || c.token != "" {
			out[registryHost(key)] = c
		}
	}
	return out, nil
}

// registryHost takes scheme and path off a key of the credentials file.
func registryHost(key string) string {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		key = rest
	}
	host, _, _ := strings.Cut(key, "/")
	if isHub(host) {
		return "docker.io"
	}
	return host
}

func (c credentials) find(host string) (credential, bool) {
	found, ok := c[registryHost(host)]
	return found, ok
}

// registryAuth answers the builder's question for credentials. It leaves the
// exchange of tokens to the engine, by saying that this is not available here.
type registryAuth struct {
	auth.UnimplementedAuthServer
	credentials credentials
}

func (r *registryAuth) Register(server *grpc.Server) { auth.RegisterAuthServer(server, r) }

// Credentials returns the login of one registry, empty ones if there is none.
func (r *registryAuth) Credentials(_ context.Context, req *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	c, ok := r.credentials.find(req.Host)
	switch {
	case !ok:
		return &auth.CredentialsResponse{}, nil
	case c.token != "":
		return &auth.CredentialsResponse{Secret: c.token}, nil
	}
	return &auth.CredentialsResponse{Username: c.user, Secret: c.password}, nil
}

// FetchToken is the engine's to do.
func (r *registryAuth) FetchToken(context.Context, *auth.FetchTokenRequest) (*auth.FetchTokenResponse, error) {
	return nil, status.Error(codes.Unavailable, "the engine fetches its tokens itself")
}

// GetTokenAuthority is the engine's to do.
func (r *registryAuth) GetTokenAuthority(context.Context, *auth.GetTokenAuthorityRequest) (*auth.GetTokenAuthorityResponse, error) {
	return nil, status.Error(codes.Unavailable, "the engine fetches its tokens itself")
}

// VerifyTokenAuthority is the engine's to do.
func (r *registryAuth) VerifyTokenAuthority(context.Context, *auth.VerifyTokenAuthorityRequest) (*auth.VerifyTokenAuthorityResponse, error) {
	return nil, status.Error(codes.Unavailable, "the engine fetches its tokens itself")
}

// openSession offers the builder the build's secrets and the registries'
// credentials. The session must be closed; ended tells how it ended.
func (e *Engine) openSession(ctx context.Context, secrets map[string]string) (s *session.Session, ended <-chan error, err error) {
	logins, err := readCredentials(e.configFile)
	if err != nil {
		return nil, nil, err
	}
	s, err = session.NewSession(ctx, "swingbridge")
	if err != nil {
		return nil, nil, fmt.Errorf("open a build session: %w", err)
	}
	values := map[string][]byte{}
	for name, value := range secrets {
		values[name] = []byte(value)
	}
	s.Allow(secretsprovider.FromMap(values))
	s.Allow(&registryAuth{credentials: logins})
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return e.api.DialHijack(ctx, "/session", proto, meta)
		})
	}()
	return s, done, nil
}
