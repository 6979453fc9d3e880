package pipeline

import "context"

// Step is one named line of a deployment: what it does, and what undoes it.
type Step struct {
	Name string
	// Do acts and says in a few words what it saw. An error of type Skip says
	// why there was nothing to do.
	Do func(ctx context.Context) (seen string, err error)
	// Undo takes back what Do did or may have done halfway; nil where there is
	// nothing to take back.
	Undo func(ctx context.Context) error
	// Enter and Reach are the deployment's states before and after Do, where
	// the step changes them.
	Enter, Reach State
	// Idle says why there is nothing to do, before the step begins; nil or empty:
	// there may be something. A step that is idle costs no wait for the disk.
	Idle func() string
	// Beside runs the step alongside the one before it.
	Beside bool
	// Tidy marks steps after the deployment was accepted: their errors are
	// warnings, visitors notice nothing.
	Tidy bool
}

// steps is what a deployment does, top to bottom. Until "cut over" nothing
// that serves is touched; undoing goes from the bottom up.
func (r *run) steps() []Step {
	return []Step{
		// The exact commit, if the branch still wants it.
		{Name: "fetch", Do: r.fetch},
		// Compose files to containers; the idle color; what will happen, in the log.
		{Name: "plan", Do: r.plan},
		// One image per content; the release is known from here on.
		{Name: "build", Do: r.build},
		// Databases and caches: started where missing, replaced where changed.
		{Name: "keep", Do: r.keep, Undo: r.keepBack, Idle: r.noKept},
		// Migrations and the like, in the new image, once per release.
		{Name: "release", Do: r.runErrands, Undo: r.undoErrands, Idle: r.noErrand},
		// Containers of the idle color, where the proxy could reach them.
		{Name: "start", Do: r.start, Undo: r.removeNew},
		// Alive, healthy, and answering several times in a row.
		{Name: "probe", Do: r.probe},
		// Workers that must be on the new commit before visitors are.
		{Name: "hand over early", Do: r.handEarly, Undo: r.handBack, Idle: r.noEarly},
		// All visitors at once, then proof through the public listener.
		{Name: "cut over", Do: r.cutOver, Undo: r.cutBack, Enter: CuttingOver, Reach: Watching},
		// The new color must stay well for a while.
		{Name: "guard", Do: r.guard, Reach: Live},
		// All other workers, with the release or back with it.
		{Name: "hand over", Do: r.handOver, Undo: r.handBack, Beside: true},
		// Open requests on the old color end, or reach the limit.
		{Name: "drain", Do: r.drain, Beside: true},
		// The old color, with its own signal and grace.
		{Name: "stop old", Do: r.stopOld, Tidy: true},
		// Images that no kept release needs.
		{Name: "prune", Do: r.prune, Tidy: true},
	}
}

// StepNames lists the steps of a deployment in their order, for pages and
// reports that show what is still to come.
func StepNames() []string {
	var names []string
	for _, s := range (&run{}).steps() {
		names = append(names, s.Name)
	}
	return names
}

// Skip is the reason why a step had nothing to do.
type Skip string

func (s Skip) Error() string { return string(s) }
