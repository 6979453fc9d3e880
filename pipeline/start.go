package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// start creates and starts the containers of the idle color. Whatever has the
// same name from an interrupted attempt is looked at, not guessed about.
func (x *run) start(ctx context.Context) (string, error) {
	x.containers = nil
	for _, svc := range x.rel.Stack.Services {
		for replica := range max(svc.Replicas, 1) {
			c, err := x.startOne(ctx, svc, replica)
			if err != nil {
				return "", fmt.Errorf("service %s: %w", svc.Name, err)
			}
			x.containers = append(x.containers, c)
		}
	}
	return fmt.Sprintf("%d container(s) on %s", len(x.containers), x.dep.Color), nil
}

func (x *run) startOne(ctx context.Context, svc stack.Service, replica int) (Container, error) {
	addr, err := x.Ledger.Reserve(ctx, x.dep.ID, svc.Name, replica)
	if err != nil {
		return Container{}, fmt.Errorf("reserve an address: %w", err)
	}
	order := ContainerOrder{
		Owner: x.owner(svc.Name), Image: x.rel.Images[svc.Name], Service: svc, Volumes: x.rel.Stack.Volumes,
		Edge: Attachment{Network: x.Edge, Address: addr}, Links: []Link{{Network: x.AppNetwork(x.app, ""), Aliases: []string{svc.Name}}}, Replica: replica,
	}
	c, err := x.Engine.Ensure(ctx, order)
	if errors.Is(err, ErrNotFound) {
		// The network was made beside the build, and somebody may have pruned it
		// since: nothing was on it.
		if err := x.ensureNetwork(ctx); err != nil {
			return Container{}, err
		}
		c, err = x.Engine.Ensure(ctx, order)
	}
	if err != nil {
		return Container{}, fmt.Errorf("create container: %w", err)
	}
	if err := x.Engine.Start(ctx, c.ID); err != nil {
		return Container{}, fmt.Errorf("start container: %w", err)
	}
	if c, err = x.Engine.Inspect(ctx, c.ID); err != nil {
		return Container{}, fmt.Errorf("look at container: %w", err)
	}
	return c, nil
}

// ensureNetwork makes the app's own network, out of our subnets and beside all
// that are in use.
func (x *run) ensureNetwork(ctx context.Context) error {
	name := x.AppNetwork(x.app, "")
	used, err := x.Engine.Subnets(ctx)
	if err != nil {
		return fmt.Errorf("list networks: %w", err)
	}
	subnet, err := x.Ledger.AppSubnet(ctx, x.app.ID, "", beside(name, used))
	if err != nil {
		return fmt.Errorf("choose a subnet: %w", err)
	}
	n := Network{
		Name: name, AppID: x.app.ID, App: x.app.Name, Subnet: subnet,
		Gateway: subnet.Addr().Next(), Range: subnet,
	}
	if err := x.Engine.EnsureNetwork(ctx, n); err != nil {
		return fmt.Errorf("make network %s: %w", name, err)
	}
	return nil
}

// beside lists what others have than the network of that name. Where it is
// there already it stays, also if something came to overlap it since.
func beside(name string, used map[string][]netip.Prefix) []netip.Prefix {
	var others []netip.Prefix
	for network, subnets := range used {
		for _, s := range subnets {
			if network != name && !overlaps(s, used[name]) {
				others = append(others, s)
			}
		}
	}
	return others
}

// removeNew takes the deployment's containers away again; they have no
// visitors, or had them taken away.
func (x *run) removeNew(ctx context.Context) error {
	there, err := x.Engine.List(ctx, Filter{AppID: x.app.ID, Deployment: x.dep.ID})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if len(there) > 0 {
		if err := x.hidePreview(ctx, x.app.ID, x.dep.ID); err != nil {
			return err
		}
	}
	for _, c := range there {
		if err := x.Engine.Remove(ctx, c.ID); err != nil {
			return fmt.Errorf("remove container %s: %w", c.Name, err)
		}
	}
	x.containers = nil
	if err := x.Ledger.ReleaseAddresses(ctx, x.dep.ID); err != nil {
		return fmt.Errorf("free addresses: %w", err)
	}
	return nil
}
