package pipeline

import (
	"reflect"
	"slices"
	"testing"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// linker names networks so that tests can read them.
func linker() *Runner {
	return &Runner{AppNetwork: func(a App, key string) string { return a.Name + ":" + key }}
}

func aService(name string, role stack.Role, networks ...string) stack.Service {
	svc := stack.Service{Name: name, Role: role}
	for _, n := range networks {
		svc.Networks = append(svc.Networks, stack.Join{Network: n})
	}
	return svc
}

func keysOf(links []Link) []string {
	var out []string
	for _, l := range links {
		out = append(out, l.Network)
	}
	return out
}

func TestLinks_OneWebServiceAloneIsOnTheDefaultNetworkWithoutAName(t *testing.T) {
	t.Parallel()
	web := aService("web", stack.Web)
	got := linker().linksOf(App{Name: "shop"}, stack.Stack{Services: []stack.Service{web}}, web, Blue)
	if want := []Link{{Network: "shop:"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("links %+v, want %+v", got, want)
	}
}

func TestLinks_AreByRoleAndByWhoElseIsOnTheNetwork(t *testing.T) {
	t.Parallel()
	web := aService("web", stack.Web, "default", "back")
	web.Names = []string{"web-a", "web"}
	web.Networks[1].Aliases = []string{"api"}
	worker := aService("worker", stack.Worker)
	redis, task := aService("redis", stack.Keep), aService("migrate", stack.Task)
	s := stack.Stack{Services: []stack.Service{web, worker, redis, task}, Networks: []stack.Network{{Name: "back", Internal: true}}}
	r, app := linker(), App{Name: "shop"}
	for name, c := range map[string]struct {
		got, want []Link
	}{
		"web": {r.linksOf(app, s, web, Green), []Link{
			{Network: "shop:"}, {Network: "shop:back/internal"}, {Network: "shop:default/green", Aliases: []string{"web", "web-a"}},
		}},
		"worker": {r.linksOf(app, s, worker, Blue), []Link{{Network: "shop:"}, {Network: "shop:default/blue", Aliases: []string{"worker"}}}},
		"kept":   {r.linksOf(app, s, redis, ""), []Link{{Network: "shop:", Aliases: []string{"redis"}}, {Network: "shop:default/live"}}},
		"task":   {r.linksOf(app, s, task, Blue), []Link{{Network: "shop:"}}},
		"live":   {r.liveLinks(app, s, web), []Link{{Network: "shop:default/live", Aliases: []string{"web", "web-a"}}}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: links %+v, want %+v", name, c.got, c.want)
		}
	}
}

func TestLinks_ToAForeignNetworkHaveNoNameOfAColor(t *testing.T) {
	t.Parallel()
	web, redis := aService("web", stack.Web, "out"), aService("redis", stack.Keep, "out")
	s := stack.Stack{Services: []stack.Service{web, redis}, Networks: []stack.Network{{Name: "out", External: "lan"}}}
	r, app := linker(), App{Name: "shop"}
	if got, want := r.linksOf(app, s, web, Blue), []Link{{Network: "lan", External: true}}; !reflect.DeepEqual(got, want) {
		t.Errorf("links %+v, want %+v", got, want)
	}
	for _, n := range r.networksOf(app, s, Blue) {
		if n.Name == "lan" {
			t.Error("a network that is not ours would be made")
		}
	}
}

func TestLinks_LeadToNetworksThatAreMade(t *testing.T) {
	t.Parallel()
	r, app := linker(), App{Name: "shop"}
	s := stack.Stack{Services: []stack.Service{
		aService("web", stack.Web), aService("api", stack.Web, "default", "back"), aService("worker", stack.Worker, "back"),
		aService("db", stack.Keep, "back"), aService("metrics", stack.Keep, "aside"),
	}, Networks: []stack.Network{{Name: "back", Internal: true}, {Name: "aside"}}}
	var made []string
	for _, n := range r.networksOf(app, s, Green) {
		made = append(made, n.Name)
	}
	needed := map[string]bool{}
	for _, svc := range s.Services {
		for _, network := range keysOf(slices.Concat(r.linksOf(app, s, svc, Green), r.liveLinks(app, s, svc))) {
			needed[network] = true
			if !slices.Contains(made, network) {
				t.Errorf("%s is to join %s, which is not made", svc.Name, network)
			}
		}
	}
	for _, network := range made {
		if !needed[network] {
			t.Errorf("%s is made and nobody needs it", network)
		}
	}
}
