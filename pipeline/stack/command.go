package stack

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

const defaultReleaseTimeout = 10 * time.Minute

// command is the release command of x-swingbridge.release.
func (c *conversion) command() *Command {
	x := settings{values: c.project.Extensions["x-swingbridge"]}
	values, ok := x.under("release").values.(map[string]any)
	if !ok {
		return nil
	}
	x = settings{values: values}
	add := func(key, format string, args ...any) {
		c.l.found.add(c.top.at("x-swingbridge", "release", key), "", "x-swingbridge.release."+key, format, args...)
	}
	out := &Command{Service: c.called(x.text("service", "")), Timeout: x.duration("timeout", defaultReleaseTimeout)}
	on := c.all[out.Service]
	switch {
	case out.Service == "":
		add("service", "name the service in whose new image the command runs")
	case on == nil:
		add("service", "the files have no such service: there are %s", strings.Join(c.names(), ", "))
	case on.front, !on.role.Colored() && on.from.Build == nil:
		add("service", "the command runs in the release's new image: name a web service, a worker, or one that is built from the repository")
	}
	var err error
	out.Args, err = words(values["command"])
	switch {
	case err != nil:
		add("command", "not readable as a command: close its quotes, or write it as a list")
	case len(out.Args) == 0:
		add("command", "say what is to run, like `python manage.py migrate`")
	}
	return out
}

// names are those of the services, after folding.
func (c *conversion) names() []string {
	var out []string
	for _, s := range c.sorted() {
		out = append(out, s.name)
	}
	return out
}

// words are the arguments of a command, which is a text as for a shell or a
// list.
func words(value any) ([]string, error) {
	list, ok := value.([]any)
	if !ok {
		var out types.ShellCommand
		if _, ok := value.(map[string]any); ok {
			return nil, errors.New("a mapping")
		}
		if value == nil {
			return nil, nil
		}
		err := out.DecodeMapstructure(fmt.Sprint(value))
		return out, err
	}
	var out []string
	for _, arg := range list {
		switch arg.(type) {
		case []any, map[string]any, nil:
			return nil, errors.New("an argument is no text")
		}
		out = append(out, fmt.Sprint(arg))
	}
	return out, nil
}
