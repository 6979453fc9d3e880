package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// floor is the least that can make a pushed commit answer on this engine: fetch
// what is new, hand the tree to the warm builder, create and start a container
// with a fixed address on one network, and ask it until it answers. Nothing is
// checked, recorded, reported or cleaned up in the time that counts.
type floor struct {
	docker *client.Client
	repo   *git.Repository
	remote *git.Remote
	next   netip.Addr
	old    string // container of the turn before
}

const (
	floorNetwork = "bench-floor"
	floorSubnet  = "10.77.0.0/24"
	floorRef     = "refs/floor/main" // kept, so that a fetch brings only what is new
)

// phases are the floor's steps, in order.
func phases() []string { return []string{"fetch", "build", "create", "start", "answer"} }

func newFloor(ctx context.Context, docker *client.Client, dir, url string) (*floor, error) {
	repo, err := git.PlainInit(filepath.Join(dir, "floor.git"), true)
	if err != nil {
		return nil, err
	}
	remote, err := repo.CreateRemote(&config.RemoteConfig{
		Name: "origin", URLs: []string{url}, Fetch: []config.RefSpec{"+refs/heads/main:" + floorRef},
	})
	if err != nil {
		return nil, err
	}
	_, err = docker.NetworkCreate(ctx, floorNetwork, network.CreateOptions{
		Driver: "bridge", IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: floorSubnet, Gateway: "10.77.0.1"}}},
	})
	return &floor{docker: docker, repo: repo, remote: remote, next: netip.MustParseAddr("10.77.0.2")}, err
}

// deploy brings the commit up and returns how long each phase took.
func (f *floor) deploy(ctx context.Context, sha, version string) (map[string]time.Duration, error) {
	took, tag := map[string]time.Duration{}, "bench-floor:"+sha
	var tree *object.Tree
	for i, do := range []func() error{
		func() (err error) { tree, err = f.fetch(ctx, sha); return err },
		func() error { return f.build(ctx, tree, tag) },
		func() error { return f.create(ctx, "bench-floor-"+sha, tag) },
		func() error { return f.docker.ContainerStart(ctx, "bench-floor-"+sha, container.StartOptions{}) },
		func() error { return f.answers(ctx, version) },
	} {
		begin := time.Now()
		if err := do(); err != nil {
			return nil, fmt.Errorf("floor, %s: %w", phases()[i], err)
		}
		took[phases()[i]] = time.Since(begin)
	}
	return took, f.removeOld(ctx, "bench-floor-"+sha)
}

func (f *floor) fetch(ctx context.Context, sha string) (*object.Tree, error) {
	if err := f.remote.FetchContext(ctx, &git.FetchOptions{Tags: git.NoTags}); err != nil {
		return nil, err
	}
	commit, err := f.repo.CommitObject(plumbing.NewHash(sha))
	if err != nil {
		return nil, err
	}
	return commit.Tree()
}

func (f *floor) build(ctx context.Context, tree *object.Tree, tag string) error {
	var root bytes.Buffer
	out := tar.NewWriter(&root)
	err := tree.Files().ForEach(func(file *object.File) error {
		text, err := file.Contents()
		if err == nil {
			err = out.WriteHeader(&tar.Header{Name: file.Name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg})
		}
		if err == nil {
			_, err = io.WriteString(out, text)
		}
		return err
	})
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	resp, err := f.docker.ImageBuild(ctx, &root, build.ImageBuildOptions{Version: build.BuilderBuildKit, Tags: []string{tag}})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	for in := json.NewDecoder(resp.Body); ; {
		var m struct{ Error string }
		if err := in.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
	}
}

func (f *floor) create(ctx context.Context, name, tag string) error {
	f.next = f.next.Next()
	_, err := f.docker.ContainerCreate(ctx, &container.Config{Image: tag}, &container.HostConfig{NetworkMode: floorNetwork},
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			floorNetwork: {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: f.next.String()}},
		}}, nil, name)
	return err
}

// answers asks until the new version answers.
func (f *floor) answers(ctx context.Context, version string) error {
	r := raw{address: netip.AddrPortFrom(f.next, 8000).String()}
	defer r.close()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
		once, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		status, body, err := r.ask(once, get("floor"))
		cancel()
		if err == nil && status == http.StatusOK && strings.TrimSpace(body) == version {
			return nil
		}
		if err := wait(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("no answer within 20 s")
}

func (f *floor) removeOld(ctx context.Context, now string) error {
	old := f.old
	f.old = now
	if old == "" {
		return nil
	}
	return f.docker.ContainerRemove(ctx, old, container.RemoveOptions{Force: true})
}
