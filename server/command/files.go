package command

import (
	"context"
	"fmt"

	"github.com/swingbridge/swingbridge/pipeline"
)

// SetFile holds a file that the app's repository lacks; the next deployment has
// it.
func (c *Commands) SetFile(ctx context.Context, by pipeline.Actor, app, path string, content []byte) (int64, error) {
	a, err := c.o.Apps.AppByName(ctx, app)
	if err != nil {
		return 0, err
	}
	if err := pipeline.CheckHeldPath(path); err != nil {
		return 0, err
	}
	if len(content) > pipeline.MaxHeldFile {
		return 0, fmt.Errorf("%w file %s: it has %d bytes, at most %d are held", pipeline.ErrInvalid, path, len(content), pipeline.MaxHeldFile)
	}
	version, err := c.o.Environments.SetFile(ctx, a.ID, path, content)
	if err != nil {
		return 0, fmt.Errorf("set file %s: %w", path, err)
	}
	return version, c.audit(ctx, by, pipeline.AuditEntry{Action: "file.set", App: app, Target: path, Detail: fmt.Sprintf("version %d, %d bytes", version, len(content))})
}

// UnsetFile takes a file away that the server holds.
func (c *Commands) UnsetFile(ctx context.Context, by pipeline.Actor, app, path string) (int64, error) {
	a, err := c.o.Apps.AppByName(ctx, app)
	if err != nil {
		return 0, err
	}
	version, err := c.o.Environments.UnsetFile(ctx, a.ID, path)
	if err != nil {
		return 0, fmt.Errorf("unset: %w", err)
	}
	return version, c.audit(ctx, by, pipeline.AuditEntry{Action: "file.unset", App: app, Target: path, Detail: fmt.Sprintf("version %d", version)})
}
