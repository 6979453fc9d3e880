package pipeline

import (
	"slices"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// inOrder sorts services so that each comes after those it depends on.
func inOrder(services []stack.Service) []stack.Service {
	return slices.Concat(stack.Levels(services)...)
}
