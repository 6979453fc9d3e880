package main

import (
	"context"
	"fmt"
)

// checkFolder refuses a data folder that the engine has elsewhere: what apps
// mount of it would be another folder, and their data would be lost.
func (p *plant) checkFolder(ctx context.Context) error {
	seen, known, err := p.engine.Sees(ctx, p.cfg.Data)
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "not known whether the container engine has the data folder at the same path", "folder", p.cfg.Data, "error", err)
	case !known:
		p.log.WarnContext(ctx, "not known whether the container engine has the data folder at the same path: it does not say", "folder", p.cfg.Data)
	case !seen && p.engine.Local():
		return fmt.Errorf("the data folder %[1]s is not at that path on the host of the container engine, so apps would mount another one: "+
			"a server in a container needs it at the host's own path, as in --volume %[1]s:%[1]s, and SWINGBRIDGE_DATA naming that path", p.cfg.Data)
	case !seen:
		p.log.WarnContext(ctx, "the container engine is on another machine, which does not have the data folder: relative paths cannot be mounted", "folder", p.cfg.Data)
	}
	return nil
}
