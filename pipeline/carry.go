package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// carryProof bounds the proof that what runs answers; without one in time, the
// deployment goes the ordinary way.
const carryProof = 3 * time.Second

// carryOn reports whether the push changes nothing but the commit, so that what
// runs can stay: the same images, stack and environment, and nothing that runs is
// in want of anything. Visitors and data are not touched then, and what ran once
// for the release is not run again. Who asks for a deployment by hand gets one.
//
// Whatever cannot be known is a reason to do all that a deployment does.
func (x *run) carryOn(ctx context.Context, o outlook) (string, bool) {
	if !x.dep.Trigger.Automatic() || !o.same {
		return "", false
	}
	entry, err := x.answers(ctx)
	if err != nil {
		x.say("  the files change nothing, but what runs is not as it should be: %v", err)
		return "", false
	}
	x.say("  nothing but the commit changes; who wants new containers all the same: Redeploy, or swingbridge deploy %s", x.app.Name)
	x.rel = o.rel
	x.rel.ID = NewID(x.Now())
	x.found.Release = &x.rel
	x.dep.Color, x.dep.Carries = x.live.Color, x.live.StackID()
	x.found.Move = &Move{To: Live, Color: x.dep.Color, Carries: x.dep.Carries, Attempt: x.dep.Attempt}
	return fmt.Sprintf("nothing changes: what was made for %s stays on %s, and answers through the public listener",
		Short(x.live.Commit), entry.Color), true
}

// answers makes sure that the live release runs as the records say, and that
// visitors reach it.
func (x *run) answers(ctx context.Context) (Entry, error) {
	there, err := x.Engine.List(ctx, Filter{AppID: x.app.ID})
	if err != nil {
		return Entry{}, fmt.Errorf("list containers: %w", err)
	}
	s := settled{Runner: x.Runner, app: x.app, live: x.live, rel: x.liveRel}
	todo, err := s.mendings(there)
	if err != nil {
		return Entry{}, err
	}
	if len(todo) > 0 {
		return Entry{}, errors.New(todo[0].what)
	}
	if found := s.drift(there); len(found) > 0 {
		return Entry{}, errors.New(found[0].String())
	}
	if i := slices.IndexFunc(there, func(c Container) bool { return c.HasCheck && c.Health != "healthy" }); i >= 0 {
		return Entry{}, fmt.Errorf("%s is not healthy", there[i].Name)
	}
	want, err := EntryFor(ctx, x.Engine, x.app, x.live, x.liveRel)
	if err != nil {
		return Entry{}, err
	}
	have, err := x.Proxy.Entry(ctx, x.app.ID)
	switch {
	case err != nil:
		return Entry{}, fmt.Errorf("ask the proxy: %w", err)
	case !sameEntry(have, want):
		return Entry{}, errors.New("visitors are not led to it")
	}
	proof, done := context.WithTimeout(ctx, carryProof)
	defer done()
	if err := x.Prover.Prove(proof, have); err != nil {
		return Entry{}, fmt.Errorf("prove through the public listener: %w", err)
	}
	return have, nil
}

// unchanged reports whether the release is the live one but for its commit, and
// nothing has to be made for it.
func (o outlook) unchanged(live Release) (bool, error) {
	if o.live.ID == "" || len(o.left) > 0 {
		return false, nil
	}
	missing := slices.ContainsFunc(o.supplies, func(s supply) bool { return s.there == "" })
	moves := slices.ContainsFunc(o.kept, func(k keptFate) bool { return k.fate != toLeave })
	if missing || moves {
		return false, nil
	}
	was, err := live.content()
	if err != nil {
		return false, err
	}
	is, err := o.rel.content()
	return err == nil && bytes.Equal(was, is), err
}

// content is all that a release is made of, its commit's name left out.
func (r Release) content() ([]byte, error) {
	r.ID, r.Commit, r.CreatedAt = "", "", time.Time{}
	raw, err := canonical(r)
	if err != nil {
		return nil, fmt.Errorf("compare releases: %w", err)
	}
	return raw, nil
}
