package pipeline

import "slices"

// State is where a deployment stands.
type State string

// The states of a deployment. Superseded, canceled, failed, rolled back and
// retired are final; stuck waits for a person.
const (
	Queued      State = "queued"
	Running     State = "running"
	CuttingOver State = "cutting_over"
	Watching    State = "watching" // visitors are on it, the guard runs
	Live        State = "live"     // accepted
	Retired     State = "retired"  // was live, another one took over
	Failed      State = "failed"
	RolledBack  State = "rolled_back"
	Superseded  State = "superseded"
	Canceled    State = "canceled"
	Stuck       State = "stuck" // what happened cannot be known; a person decides
)

// transitions is the whole of what may follow what. The store enforces it in
// SQL, the picture in docs/states.md is drawn from it.
//
// Running to Running and CuttingOver to Running are taken only after a crash
// before the table swap: what the attempt did is undone, the next one begins.
// Running to Live is the way of a deployment that changes nothing: visitors stay
// where they are.
func transitions() map[State][]State {
	return map[State][]State{
		Queued:      {Running, Superseded, Canceled},
		Running:     {Running, CuttingOver, Live, Failed, Canceled, Superseded, Stuck},
		CuttingOver: {Watching, Running, RolledBack, Stuck},
		Watching:    {Live, RolledBack, Stuck},
		Live:        {Retired},
		Stuck:       {Live, RolledBack, Failed},
	}
}

// States lists every state in the order of a deployment's life.
func States() []State {
	return []State{
		Queued, Running, CuttingOver, Watching, Live, Retired,
		Failed, RolledBack, Superseded, Canceled, Stuck,
	}
}

// CanBecome reports whether a deployment in state s may move to next.
func (s State) CanBecome(next State) bool { return slices.Contains(transitions()[s], next) }

// Next lists the states that may follow s.
func (s State) Next() []State { return slices.Clone(transitions()[s]) }

// Ended reports whether the attempt is over, well or not: nothing more will
// happen to visitors because of it. A live deployment has ended well.
func (s State) Ended() bool {
	switch s {
	case Live, Retired, Failed, RolledBack, Superseded, Canceled:
		return true
	}
	return false
}

// Serves reports whether visitors may be on a deployment in this state.
func (s State) Serves() bool {
	switch s {
	case CuttingOver, Watching, Live, Stuck:
		return true
	}
	return false
}
