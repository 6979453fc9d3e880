package pipelinetest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/swingbridge/swingbridge/pipeline"
)

// Doubles lists what happened that must never: kept services' containers that
// were started beside another one that ran.
func (e *Engine) Doubles() []string {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	return slices.Clone(e.doubles)
}

func (e *Engine) findDouble(started *container) {
	for _, c := range e.containers {
		if c != started && started.Owner.Deployment == "" && c.Owner.Deployment == "" && c.Owner.AppID == started.Owner.AppID &&
			c.Owner.Service == started.Owner.Service && c.now().Running {
			e.doubles = append(e.doubles, started.Name+" beside "+c.Name)
		}
	}
}

// addAnonymous gives a container the anonymous volumes of its order, as far as
// it does not carry them on.
func (e *Engine) addAnonymous(c *container, o pipeline.ContainerOrder) {
	c.Anonymous = maps.Clone(o.Carry)
	for _, m := range o.Service.Mounts {
		if m.Volume != "" || m.Bind != nil || c.Anonymous[m.Target] != "" {
			continue
		}
		if c.Anonymous == nil {
			c.Anonymous = map[string]string{}
		}
		e.volumes++
		c.Anonymous[m.Target] = fmt.Sprintf("volume%d", e.volumes)
	}
}

// Change changes a container the way a person does by hand.
func (e *Engine) Change(id string, how func(*pipeline.Container)) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if c, ok := e.containers[id]; ok {
		how(&c.Container)
	}
}

// PeekMode is how the app's visitors are met, without a call being made.
func (p *Proxy) PeekMode(appID string) pipeline.Mode {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.modes[appID].At(time.Now())
}
