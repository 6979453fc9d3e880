package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/swingbridge/swingbridge/pipeline"
)

// optionICC says whether containers of a bridge may talk to each other.
const optionICC = "com.docker.network.bridge.enable_icc"

// EnsureNetwork makes the network or checks that the one of that name is this
// installation's and as ordered. An error wrapping pipeline.ErrConflict says
// what is different, or who else has the subnet.
func (e *Engine) EnsureNetwork(ctx context.Context, n pipeline.Network) error {
	if err := e.checkNetwork(n); err != nil {
		return err
	}
	long, cancel := outlive(ctx)
	defer cancel()
	there, err := e.api.NetworkInspect(long, n.Name, network.InspectOptions{})
	if err == nil {
		return e.sameNetwork(there, n)
	}
	if !cerrdefs.IsNotFound(err) {
		return said(err, "look at network %s", n.Name)
	}
	_, err = e.api.NetworkCreate(long, n.Name, e.networkOptions(n))
	if err == nil {
		return nil
	}
	// Somebody was faster, or no answer came: what is there decides. Two of one
	// name cannot come to be, since the second one's subnet is taken.
	there, lookErr := e.networkAppears(ctx, n.Name)
	switch {
	case lookErr == nil:
		return e.sameNetwork(there, n)
	case strings.Contains(err.Error(), "overlaps"):
		return conflict(err, "make network %s: subnet %s is in use", n.Name, n.Subnet)
	}
	return said(err, "make network %s", n.Name)
}

// networkAppears looks for a network for a moment: the engine takes the subnet
// of one that is being made before it shows the name.
func (e *Engine) networkAppears(ctx context.Context, name string) (network.Inspect, error) {
	fresh, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer done()
	for {
		there, err := e.api.NetworkInspect(fresh, name, network.InspectOptions{})
		if err == nil {
			return there, nil
		}
		if pause(fresh, lookEvery) != nil {
			return there, err
		}
	}
}

func (e *Engine) checkNetwork(n pipeline.Network) error {
	switch {
	case !e.ourNetwork(n.Name):
		return refused("network name %q is not one of this installation's", n.Name)
	case slices.ContainsFunc(slices.Collect(maps.Keys(n.Labels)), isOurLabel):
		return refused("network %s: labels that begin with %s are ours", n.Name, labelPrefix)
	case !n.Subnet.IsValid() || n.Subnet != n.Subnet.Masked():
		return refused("network %s: subnet %s", n.Name, n.Subnet)
	case n.Gateway.IsValid() && !n.Subnet.Contains(n.Gateway):
		return refused("network %s: gateway %s is not in %s", n.Name, n.Gateway, n.Subnet)
	case n.Range.IsValid() && (!n.Subnet.Contains(n.Range.Addr()) || n.Range.Bits() < n.Subnet.Bits()):
		return refused("network %s: range %s is not in %s", n.Name, n.Range, n.Subnet)
	}
	return nil
}

func (e *Engine) networkOptions(n pipeline.Network) network.CreateOptions {
	pool := network.IPAMConfig{Subnet: n.Subnet.String()}
	if n.Gateway.IsValid() {
		pool.Gateway = n.Gateway.String() // else the engine takes the first of the range
	}
	if n.Range.IsValid() {
		pool.IPRange = n.Range.String()
	}
	labels := maps.Clone(n.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, e.ours())
	if n.AppID != "" {
		labels[labelAppID], labels[labelApp] = n.AppID, n.App
	}
	options := network.CreateOptions{
		Driver: "bridge", Internal: n.Isolated || n.Internal, Labels: labels,
		IPAM:    &network.IPAM{Driver: "default", Config: []network.IPAMConfig{pool}},
		Options: map[string]string{},
	}
	if n.Isolated {
		options.Options[optionICC] = "false"
	}
	return options
}

// sameNetwork says how a network differs from the order.
func (e *Engine) sameNetwork(there network.Inspect, n pipeline.Network) error {
	var problem string
	switch owner := there.Labels[labelInstallation]; {
	case there.Name != n.Name:
		problem = "the engine found " + there.Name
	case owner == "":
		problem = "it was not made by Swingbridge"
	case owner != e.installation:
		problem = "it belongs to installation " + owner
	case there.Labels[labelAppID] != n.AppID:
		problem = fmt.Sprintf("it belongs to app %q (%s)", there.Labels[labelApp], there.Labels[labelAppID])
	case !hasSubnet(there, n.Subnet):
		problem = fmt.Sprintf("it has subnet %v, not %s", prefixes(there), n.Subnet)
	case there.Internal != (n.Isolated || n.Internal), n.Isolated != (there.Options[optionICC] == "false"):
		problem = "it isolates containers otherwise than ordered"
	case n.Gateway.IsValid() && !hasGateway(there, n.Gateway):
		problem = fmt.Sprintf("its gateway is not %s", n.Gateway)
	default:
		return nil
	}
	return conflict(errors.New(problem+"; remove it, or what uses it, and try again"),
		"network %s is there but cannot be used", n.Name)
}

func hasSubnet(n network.Inspect, subnet netip.Prefix) bool {
	found := prefixes(n)
	return len(found) == 1 && found[0] == subnet
}

func hasGateway(n network.Inspect, gateway netip.Addr) bool {
	for _, pool := range n.IPAM.Config {
		if address, err := netip.ParseAddr(pool.Gateway); err == nil && address == gateway {
			return true
		}
	}
	return false
}

// RemoveNetwork removes a network of ours. Containers of ours that are still on
// it are taken off; one of somebody else is an error. Gone is well.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	there, err := e.api.NetworkInspect(ctx, name, network.InspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return said(err, "look at network %s", name)
	}
	if there.Labels[labelInstallation] != e.installation {
		return refused("network %s is not this installation's", name)
	}
	for id, endpoint := range there.Containers {
		c, err := e.mine(ctx, id)
		switch {
		case errors.Is(err, pipeline.ErrNotFound):
			continue
		case err != nil:
			return fmt.Errorf("remove network %s, which container %s uses: %w", name, endpoint.Name, err)
		}
		err = e.api.NetworkDisconnect(ctx, there.ID, c.ID, true)
		if err != nil && !cerrdefs.IsNotFound(err) {
			return said(err, "take %s off network %s", endpoint.Name, name)
		}
	}
	if err := e.api.NetworkRemove(ctx, there.ID); err != nil && !cerrdefs.IsNotFound(err) {
		return said(err, "remove network %s", name)
	}
	return nil
}

func (e *Engine) removeNetworks(ctx context.Context, appID string) error {
	list, err := e.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", labelInstallation+"="+e.installation),
		filters.Arg("label", labelAppID+"="+appID),
	)})
	if err != nil {
		return said(err, "list networks")
	}
	var errs []error
	for _, n := range list {
		errs = append(errs, e.RemoveNetwork(ctx, n.ID))
	}
	return errors.Join(errs...)
}
