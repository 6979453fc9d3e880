package pipeline

import (
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// Release is an immutable thing that can run. A rollback is a new Deployment
// of an older Release.
type Release struct {
	ID         string
	AppID      string
	Commit     string
	Images     map[string]string // service to image ID
	Stack      stack.Stack       // rendered, with the environment filled in: secret
	EnvVersion int64
	CreatedAt  time.Time
}
