package docker

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"

	"github.com/swingbridge/swingbridge/pipeline"
	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Inspect tells all about one container of ours. An error wrapping
// pipeline.ErrNotFound if it is gone.
func (e *Engine) Inspect(ctx context.Context, id string) (pipeline.Container, error) {
	c, err := e.mine(ctx, id)
	if err != nil {
		return pipeline.Container{}, err
	}
	return e.describe(c), nil
}

// List finds this installation's containers, running or not, by name.
func (e *Engine) List(ctx context.Context, f pipeline.Filter) ([]pipeline.Container, error) {
	args := e.containerFilter()
	if f.AppID != "" {
		args.Add("label", labelAppID+"="+f.AppID)
	}
	if f.Deployment != "" {
		args.Add("label", labelDeployment+"="+f.Deployment)
	}
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: args})
	if err != nil {
		return nil, said(err, "list containers")
	}
	out := make([]pipeline.Container, 0, len(list))
	for _, item := range list {
		c, err := e.api.ContainerInspect(ctx, item.ID)
		if cerrdefs.IsNotFound(err) {
			continue // gone since
		}
		if err != nil {
			return nil, said(err, "look at container %s", item.ID)
		}
		out = append(out, e.describe(c))
	}
	slices.SortFunc(out, func(a, b pipeline.Container) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// containerFilter selects what was made here, see labelSpec.
func (e *Engine) containerFilter() filters.Args {
	return filters.NewArgs(
		filters.Arg("label", labelInstallation+"="+e.installation),
		filters.Arg("label", labelSpec),
	)
}

// mine looks at a container and refuses one that was not made here.
func (e *Engine) mine(ctx context.Context, id string) (container.InspectResponse, error) {
	c, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return c, said(err, "look at container %s", id)
	}
	if !e.owns(c) {
		return c, refused("container %s is not this installation's", id)
	}
	e.own.Store(c.ID, true)
	return c, nil
}

// check refuses a container that was not made here. An ID is never given twice
// and labels never change: one that was ours need not be looked at again.
func (e *Engine) check(ctx context.Context, id string) error {
	if _, known := e.own.Load(id); known {
		return nil
	}
	_, err := e.mine(ctx, id)
	return err
}

func (e *Engine) owns(c container.InspectResponse) bool {
	return c.Config != nil && c.Config.Labels[labelInstallation] == e.installation && c.Config.Labels[labelSpec] != ""
}

// describe translates the engine's long answer into what the pipeline asks.
func (e *Engine) describe(c container.InspectResponse) pipeline.Container {
	state := c.State
	replica, _ := strconv.Atoi(c.Config.Labels[labelReplica]) // ours to write
	out := pipeline.Container{
		ID:        c.ID,
		Name:      strings.TrimPrefix(c.Name, "/"),
		Owner:     ownerOf(c.Config.Labels),
		Replica:   replica,
		Image:     c.Image,
		Running:   state.Running && !state.Restarting,
		Status:    state.Status,
		Edge:      edgeAddress(c, e.EdgeName()),
		ExitCode:  state.ExitCode,
		OOM:       state.OOMKilled,
		Restarts:  c.RestartCount,
		Error:     state.Error,
		StartedAt: moment(state.StartedAt),
		EndedAt:   moment(state.FinishedAt),

		Purpose:     c.Config.Labels[labelPurpose],
		Fingerprint: c.Config.Labels[labelFingerprint],
		Anonymous:   anonymous(c),
		Binds:       bindsOf(c),
		Writes:      e.writesOf(c),
		MadeAs:      e.madeAs(c.Config.Labels, replica),
	}
	if c.Config.StopTimeout != nil {
		out.Grace = time.Duration(*c.Config.StopTimeout) * time.Second
	}
	if c.NetworkSettings != nil {
		out.Networks = slices.Sorted(maps.Keys(c.NetworkSettings.Networks))
	}
	if c.HostConfig != nil {
		out.Policy = policyOf(c.HostConfig.RestartPolicy)
		out.Always = c.HostConfig.RestartPolicy.Name == container.RestartPolicyAlways
		out.Limits = limitsOf(c.HostConfig.Resources)
	}
	if h := c.Config.Healthcheck; h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" {
		out.HasCheck = true
	}
	if state.Health != nil && state.Health.Status != container.NoHealthcheck {
		out.Health = state.Health.Status
	}
	return out
}

// limitsOf are a container's limits as they are now; none is 0.
func limitsOf(r container.Resources) stack.Limits {
	out := stack.Limits{Memory: r.Memory, MemoryReservation: r.MemoryReservation, CPUs: float64(r.NanoCPUs) / 1e9}
	if r.PidsLimit != nil {
		out.Pids = max(*r.PidsLimit, 0)
	}
	return out
}

// madeAs is the name that a container of these labels was given.
func (e *Engine) madeAs(labels map[string]string, replica int) string {
	return e.containerName(pipeline.ContainerOrder{
		Owner: ownerOf(labels), Fingerprint: labels[labelFingerprint], Purpose: labels[labelPurpose], Replica: replica,
	})
}

// edgeAddress is where the proxy reaches the container: its address while it
// runs, and before and after that the one it is bound to have.
func edgeAddress(c container.InspectResponse, edge string) netip.Addr {
	if c.NetworkSettings == nil || c.NetworkSettings.Networks[edge] == nil {
		return netip.Addr{}
	}
	at := c.NetworkSettings.Networks[edge]
	if address, err := netip.ParseAddr(at.IPAddress); err == nil {
		return address
	}
	if at.IPAMConfig == nil {
		return netip.Addr{}
	}
	address, err := netip.ParseAddr(at.IPAMConfig.IPv4Address)
	if err != nil {
		return netip.Addr{}
	}
	return address
}

// anonymous are the volumes that the engine named: 64 hexadecimal digits.
func anonymous(c container.InspectResponse) map[string]string {
	out := map[string]string{}
	for _, m := range c.Mounts {
		if m.Type == mount.TypeVolume && isAnonymous(m.Name) {
			out[m.Destination] = m.Name
		}
	}
	return out
}

// bindsOf are the paths of the host that the container has.
func bindsOf(c container.InspectResponse) []string {
	var out []string
	for _, m := range c.Mounts {
		if m.Type == mount.TypeBind {
			out = append(out, m.Source)
		}
	}
	slices.Sort(out)
	return out
}

// writesOf is what the container may write to, see pipeline.Container.
func (e *Engine) writesOf(c container.InspectResponse) []string {
	var out []string
	for _, m := range c.Mounts {
		switch {
		case !m.RW:
		case m.Type == mount.TypeBind:
			out = append(out, m.Source)
		case m.Type == mount.TypeVolume && !isAnonymous(m.Name):
			name := m.Name
			if key, ours := strings.CutPrefix(name, c.Config.Labels[labelApp]+"_"); ours {
				if key, ours = strings.CutSuffix(key, "-"+e.installation); ours {
					name = key
				}
			}
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func isAnonymous(volume string) bool { return fits(volume, `^[0-9a-f]{64}$`) }

// moment reads the engine's times; its year 1 is our zero.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}
