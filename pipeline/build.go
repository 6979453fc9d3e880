package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// build makes the images that are missing and, beside that, the app's networks.
// Where the build fails they stay: they are the app's, not the attempt's.
func (x *run) build(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var network sync.WaitGroup
	var noNetwork error
	network.Go(func() {
		if noNetwork = x.ensureNetworks(ctx); noNetwork != nil {
			cancel(noNetwork)
		}
	})
	seen, err := x.images(ctx)
	network.Wait()
	if noNetwork != nil {
		return "", noNetwork
	}
	return seen, err
}

// images makes the images that are missing, and places what binds name; with
// them the release is known.
func (x *run) images(ctx context.Context) (string, error) {
	if x.dep.Trigger == Rollback {
		return "", x.imagesThere(ctx)
	}
	built := 0
	for _, svc := range x.rel.Stack.Services {
		if svc.Role == stack.Task && !svc.Once {
			continue // no deployment starts it
		}
		id, cached, err := x.image(ctx, svc)
		if err != nil {
			return "", fmt.Errorf("service %s: %w", svc.Name, err)
		}
		if !cached {
			built++
		}
		x.rel.Images[svc.Name] = id
	}
	if err := x.place(ctx); err != nil {
		return "", err
	}
	x.rel.ID = NewID(x.Now())
	x.found.Release = &x.rel
	if built == 0 {
		return "nothing to build, the images are there", nil
	}
	return fmt.Sprintf("%d image(s) built", built), nil
}

func (x *run) image(ctx context.Context, svc stack.Service) (id string, cached bool, err error) {
	if svc.Build == nil {
		id, err = x.Engine.Pull(ctx, PullOrder{
			Ref: svc.Image, Policy: svc.Settings.PullPolicy, Platform: svc.Settings.Platform,
		}, x.log)
		return id, true, err
	}
	trees, err := buildTrees(x.tree, *svc.Build)
	if err != nil {
		return "", false, err
	}
	secrets, err := x.buildSecrets(*svc.Build)
	if err != nil {
		return "", false, err
	}
	return x.Engine.Build(ctx, BuildOrder{
		Owner:   x.owner(svc.Name),
		Key:     stack.Key(*svc.Build, trees, fingerprint(secrets)),
		Spec:    *svc.Build,
		Tree:    x.tree,
		Secrets: secrets,
	}, x.log)
}

// buildTrees identifies all folders that a build sees: its context, and after it
// the further ones in the order of their names.
func buildTrees(tree Tree, b stack.Build) (string, error) {
	out, err := tree.Hash(b.Context)
	if err != nil {
		return "", fmt.Errorf("build context %s: %w", b.Context, err)
	}
	for _, name := range sortedKeys(b.Contexts) {
		hash, err := tree.Hash(b.Contexts[name])
		if err != nil {
			return "", fmt.Errorf("build context %s in %s: %w", name, b.Contexts[name], err)
		}
		out += " " + hash
	}
	return out, nil
}

// buildSecrets are the values of the build's secrets by their ids.
func (x *run) buildSecrets(b stack.Build) (map[string]string, error) {
	out := map[string]string{}
	for _, id := range b.Secrets {
		if held, ok := b.Held[id]; ok {
			out[id] = string(held)
			continue
		}
		name := b.Variable(id)
		value, ok := x.env[name]
		if !ok {
			return nil, fmt.Errorf("build secret %s is not set: swingbridge env set %s %s", name, x.app.Name, name)
		}
		out[id] = value
	}
	return out, nil
}

// imagesThere makes sure that a rollback can be started at all.
func (x *run) imagesThere(ctx context.Context) error {
	for service, id := range x.rel.Images {
		there, err := x.Engine.HasImage(ctx, id)
		if err != nil {
			return fmt.Errorf("look for the image of %s: %w", service, err)
		}
		if !there {
			return fmt.Errorf("the image of %s is no longer on the engine: deploy commit %s again instead of rolling back", service, Short(x.rel.Commit))
		}
	}
	if err := x.placedThere(ctx); err != nil {
		return err
	}
	return Skip("the images of this release are there")
}

func (x *run) owner(service string) Owner {
	svc, _ := x.rel.Stack.Service(service)
	return Owner{
		App: x.app.Name, AppID: x.app.ID, Service: service, Color: x.dep.Color,
		Deployment: x.dep.ID, Commit: x.dep.Commit, Repo: x.app.Repo,
		Role: svc.Role,
	}
}

// fingerprint tells versions of build secrets apart without telling them.
func fingerprint(secrets map[string]string) string {
	if len(secrets) == 0 {
		return ""
	}
	h := sha256.New()
	for _, name := range sortedKeys(secrets) {
		sum := sha256.Sum256([]byte(secrets[name]))
		fmt.Fprintf(h, "%s=%x\n", name, sum)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
