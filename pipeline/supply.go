package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// supply is how a release comes by one image, for all services that have it.
// What is built is one image per key: two services with the same build share it,
// and so do two releases.
type supply struct {
	services []string    // sorted as the stack's; the first one names the image
	build    *BuildOrder // nil: it is pulled
	pull     PullOrder
	there    string // the image's ID, if it was there when it was looked for
}

// suppliesOf lists what the images of a stack are made of, and which of them are
// there. A task that no deployment starts needs none.
func (r *Runner) suppliesOf(ctx context.Context, a App, s stack.Stack, tree Tree, env map[string]string) ([]supply, error) {
	var out []supply
	for _, svc := range s.Services {
		if svc.Role == stack.Task && !svc.Once {
			continue
		}
		one, err := supplyOf(a, svc, tree, env)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", svc.Name, err)
		}
		out = join(out, one)
	}
	for i := range out {
		var err error
		if b := out[i].build; b != nil {
			out[i].there, err = r.Engine.Built(ctx, b.Owner, b.Key)
		} else {
			out[i].there, err = r.Engine.Pulled(ctx, out[i].pull)
		}
		if err != nil {
			return nil, fmt.Errorf("look for the image of %s: %w", out[i].services[0], err)
		}
	}
	return out, nil
}

// join adds a supply, or its services to the one that is the same.
func join(all []supply, one supply) []supply {
	i := slices.IndexFunc(all, one.same)
	if i < 0 {
		return append(all, one)
	}
	all[i].services = append(all[i].services, one.services...)
	return all
}

// same reports whether both are one image.
func (s supply) same(other supply) bool {
	if s.build == nil || other.build == nil {
		return s.build == nil && other.build == nil && s.pull == other.pull
	}
	return s.build.Key == other.build.Key
}

func supplyOf(a App, svc stack.Service, tree Tree, env map[string]string) (supply, error) {
	out := supply{services: []string{svc.Name}}
	if svc.Build == nil {
		out.pull = PullOrder{Ref: svc.Image, Policy: svc.Settings.PullPolicy, Platform: svc.Settings.Platform}
		return out, nil
	}
	trees, err := buildTrees(tree, *svc.Build)
	if err != nil {
		return out, err
	}
	secrets, err := buildSecrets(a, *svc.Build, env)
	if err != nil {
		return out, err
	}
	out.build = &BuildOrder{
		Owner: Owner{App: a.Name, AppID: a.ID, Service: svc.Name, Commit: tree.Commit().SHA, Repo: a.Repo},
		Key:   stack.Key(*svc.Build, trees, fingerprint(secrets)),
		Spec:  *svc.Build, Tree: tree, Secrets: secrets,
	}
	return out, nil
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
func buildSecrets(a App, b stack.Build, env map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for _, id := range b.Secrets {
		if held, ok := b.Held[id]; ok {
			out[id] = string(held)
			continue
		}
		name := b.Variable(id)
		value, ok := env[name]
		if !ok {
			return nil, fmt.Errorf("build secret %s is not set: swingbridge env set %s %s", name, a.Name, name)
		}
		out[id] = value
	}
	return out, nil
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
