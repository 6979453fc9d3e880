package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// summary says what the deployment will do. It depends on nothing else.
func (o outlook) summary() PlanSummary {
	out := PlanSummary{
		Commit: o.rel.Commit, Aside: slices.Clone(o.rel.Stack.Aside), Notes: slices.Clone(o.rel.Stack.Notes),
		Permissions: o.asks,
	}
	if o.same {
		out.Unchanged = true
		out.Keep = []string{fmt.Sprintf("leave all that runs on %s alone: nothing but the commit changes; deploying it by hand replaces it all the same", o.live.Color)}
		return out
	}
	o.sayImages(&out)
	for _, name := range o.networks {
		out.Create = append(out.Create, "make network "+name)
	}
	for _, k := range o.kept {
		k.say(&out)
	}
	for _, l := range o.left {
		l.say(&out)
	}
	if o.live.ID != "" && o.env != o.rel.EnvVersion {
		out.Replace = append(out.Replace, fmt.Sprintf("take version %d of the app's variables and files; what runs has version %d", o.rel.EnvVersion, o.env))
	}
	o.sayCommands(&out)
	o.sayColored(&out)
	o.sayVisitors(&out)
	for _, v := range o.rel.Stack.Volumes {
		out.Keep = append(out.Keep, "leave volume "+v.Name+" alone")
	}
	return out
}

func (o outlook) sayImages(out *PlanSummary) {
	for _, s := range o.supplies {
		names := list(s.services)
		switch {
		case s.build != nil && s.there != "":
			out.Keep = append(out.Keep, fmt.Sprintf("use the image of %s that is built already", names))
		case s.build != nil:
			out.Build = append(out.Build, "build "+names+" from "+from(s.build.Spec))
		case s.there != "":
			out.Keep = append(out.Keep, fmt.Sprintf("use the image %s of %s that is there already", s.pull.Ref, names))
		case s.pull.Policy == "never":
			out.Missing = append(out.Missing, fmt.Sprintf("the image %s of %s, which is never pulled: put it on the engine", s.pull.Ref, names))
		case s.pull.Policy == "always":
			out.Pull = append(out.Pull, fmt.Sprintf("pull %s for %s, even if it is there: its pull_policy says so", s.pull.Ref, names))
		default:
			out.Pull = append(out.Pull, fmt.Sprintf("pull %s for %s", s.pull.Ref, names))
		}
	}
}

func from(b stack.Build) string {
	if b.Inline != "" {
		return "the Dockerfile of the compose file, in " + b.Context
	}
	text := b.Dockerfile + " in " + b.Context
	if b.Target != "" {
		text += ", stage " + b.Target
	}
	return text
}

func (k keptFate) say(out *PlanSummary) {
	name := k.service.Name
	switch {
	case k.fate == toMake:
		out.Create = append(out.Create, "start "+name+" and keep it"+because(k.service))
	case k.fate == toStart:
		out.Create = append(out.Create, "start "+name+" again: it stands still")
	case k.fate == toLeave:
		out.Keep = append(out.Keep, "leave "+name+" alone: nothing of it changes"+because(k.service))
	case k.pulled:
		out.Replace = append(out.Replace, fmt.Sprintf("replace %s if the registry has another image of it", name))
	case len(k.why) == 0:
		out.Replace = append(out.Replace, "replace "+name+": its networks change")
	default:
		out.Replace = append(out.Replace, "replace "+name+": "+changed(k.why))
	}
	for _, volume := range k.unused {
		out.Keep = append(out.Keep, fmt.Sprintf("leave volume %s alone, which %s has had until now: its new container has something else there", volume, name))
	}
	if k.fate == toReplace && k.up {
		out.Blink = append(out.Blink, fmt.Sprintf("%s is away from its stop, which may take %s, until the new one is up; requests are held meanwhile, each for %s at most",
			name, span(graceOf(ContainerOrder{Service: k.service})), span(holdWait)))
	}
}

// say what becomes of it.
func (l left) say(out *PlanSummary) {
	if l.kept {
		out.Replace = append(out.Replace, "stop "+l.service+", which the files no longer have, and keep its container: volumes of it have no name")
		return
	}
	out.Replace = append(out.Replace, "stop and remove "+l.service+", which the files no longer have; its volumes stay")
}

func changed(why []string) string {
	if len(why) == 1 && strings.HasPrefix(why[0], "it ") {
		return why[0]
	}
	verb := "changes"
	if len(why) > 1 || strings.HasSuffix(why[0], "s") && why[0] != "dns" && why[0] != "tmpfs" {
		verb = "change"
	}
	return "its " + list(why) + " " + verb
}

func because(svc stack.Service) string {
	if svc.Why == "" {
		return ""
	}
	return " (" + svc.Why + ")"
}

// sayCommands says what runs once before visitors see the release. Its arguments
// may have secrets in them.
func (o outlook) sayCommands(out *PlanSummary) {
	if o.ran {
		out.Keep = append(out.Keep, "run no release command: it ran for this release before")
	}
	if o.ran || o.trigger == Rollback {
		return
	}
	for _, level := range stack.Levels(o.rel.Stack.Services) {
		for _, svc := range level {
			if svc.Once {
				out.Release = append(out.Release, "run "+svc.Name+" to its end, once for this release"+because(svc))
			}
		}
	}
	if c := o.rel.Stack.Command; c != nil {
		out.Release = append(out.Release, fmt.Sprintf("run the release command in the new image of %s, for %s at most, once for this release", c.Service, span(c.Timeout)))
	}
}

// sayColored says which containers the new color has.
func (o outlook) sayColored(out *PlanSummary) {
	for _, level := range stack.Levels(o.rel.Stack.Colored()) {
		for _, svc := range level {
			name := svc.Name
			if svc.Replicas > 1 {
				name = fmt.Sprintf("%d replicas of %s", svc.Replicas, svc.Name)
			}
			if svc.Role == stack.Web {
				out.Create = append(out.Create, fmt.Sprintf("start %s on %s%s, probe: %s", name, o.color, because(svc), question(svc.Probe)))
			} else {
				o.sayWorker(out, svc, name)
			}
		}
	}
}

func (o outlook) sayWorker(out *PlanSummary, svc stack.Service, name string) {
	when := "after the cutover"
	if svc.Before {
		when = "before the cutover"
	}
	grace := span(cmp.Or(svc.StopGrace, 10*time.Second))
	out.Create = append(out.Create, fmt.Sprintf("create worker %s on %s%s, and start it %s", name, o.color, because(svc), when))
	switch {
	case o.live.ID == "":
	case svc.Single:
		out.Replace = append(out.Replace, fmt.Sprintf("hand worker %s over %s: the old one stops, then the new one starts", svc.Name, when))
		out.Blink = append(out.Blink, fmt.Sprintf("worker %s is away from the old one's stop, which may take %s, until the new one is up: there are never two of it", svc.Name, grace))
	case svc.Detach:
		out.Replace = append(out.Replace, fmt.Sprintf("hand worker %s over %s: the old one may finish for %s, and nobody waits", svc.Name, when, grace))
	default:
		out.Replace = append(out.Replace, fmt.Sprintf("hand worker %s over %s: the old one stops last, within %s", svc.Name, when, grace))
	}
}

// sayVisitors says where visitors are led.
func (o outlook) sayVisitors(out *PlanSummary) {
	hosts := map[string]bool{}
	for _, r := range routesOf(o.app, o.rel) {
		hosts[r.Host+r.Path] = true
	}
	if len(hosts) > 0 {
		swing := fmt.Sprintf("swing %s to %s", strings.Join(slices.Sorted(maps.Keys(hosts)), ", "), o.color)
		if o.live.ID != "" {
			swing += fmt.Sprintf(", then drain and stop %s (%s)", o.live.Color, Short(o.live.Commit))
		}
		out.Replace = append(out.Replace, swing)
	}
	for _, r := range o.rel.Stack.Redirects {
		out.Replace = append(out.Replace, "send visitors of "+r.Host+" to "+r.To)
	}
}

// span is a duration as people write it: 10m, not 10m0s.
func span(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
