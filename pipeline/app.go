package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/swingbridge/swingbridge/pipeline/stack"
)

// App is what an operator deploys: a repository, a branch, compose files and
// routes. Its ID never changes; its name may be reused after a deletion.
type App struct {
	ID      string
	Name    string
	Repo    string // owner/name as it is called now
	RepoID  int64  // GitHub's numeric id, 0 until a delivery told it; survives renames and transfers
	Branch  string
	Compose []string // compose files in the operator's order; none: the Dockerfile alone
	Overlay string   // a further compose file held by the server
	Routes  []Route
	Paused  bool // automatic deployments wait

	Redirects []stack.Redirect // hosts that only send their visitors elsewhere
	Mode      Mode             // what an operator set; see Mode.At for whether it has ended
	Allow     []string         // permissions beyond the container, in the words of stack.Permission

	CreatedAt time.Time
	UpdatedAt time.Time
}

// Route is a host and a path under which visitors reach a service of an App.
type Route struct {
	Host    string `json:"host"`
	Path    string `json:"path,omitempty"` // prefix, "" is "/"
	Service string `json:"service"`
	Port    int    `json:"port"` // inside the container
}

// ErrInvalid is wrapped by errors about what an operator entered.
var ErrInvalid = errors.New("invalid")

// Validate reports everything that is wrong with what an operator entered, in
// sentences for that operator.
func (a App) Validate() error {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !nameRule().MatchString(a.Name) {
		add("name %q: use a lower-case letter, then up to 30 letters, digits and dashes", a.Name)
	}
	if !repoRule().MatchString(a.Repo) || strings.Contains(a.Repo, "..") {
		add("repo %q: write it as owner/name", a.Repo)
	}
	if err := checkRef(a.Branch); err != nil {
		add("branch %q: %v", a.Branch, err)
	}
	for _, file := range a.Compose {
		if file == "" || strings.HasPrefix(file, "/") || strings.Contains("/"+file+"/", "/../") {
			add("compose file %q: name it by its path inside the repository", file)
		}
	}
	seen := map[string]bool{}
	for _, r := range a.Routes {
		if err := r.validate(); err != nil {
			add("route %s: %v", r, err)
		}
		if key := r.Host + r.Prefix(); seen[key] {
			add("route %s is there twice", r)
		} else {
			seen[key] = true
		}
	}
	problems = append(problems, checkRedirects(a.Redirects, a.Routes)...)
	for _, word := range a.Allow {
		if _, err := stack.ParsePermission(word); err != nil {
			add("permission %v", err)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w app: %s", ErrInvalid, strings.Join(problems, "; "))
}

// Permissions are those of Allow, each written in the one way, sorted and once;
// nil for none. What is no permission is left out, see Validate.
func (a App) Permissions() []string {
	var out []string
	for _, word := range a.Allow {
		if p, err := stack.ParsePermission(word); err == nil {
			out = append(out, string(p))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Prefix is the path of the route, "/" where none was given.
func (r Route) Prefix() string {
	if r.Path == "" {
		return "/"
	}
	return r.Path
}

func (r Route) String() string {
	return fmt.Sprintf("%s%s → %s:%d", r.Host, r.Path, r.Service, r.Port)
}

func (r Route) validate() error {
	switch {
	case !isHost(r.Host):
		return errors.New("the host must be a lower-case domain name")
	case r.Path != "" && !strings.HasPrefix(r.Path, "/"):
		return errors.New("the path must begin with /")
	case !serviceRule().MatchString(r.Service):
		return errors.New("name the service that answers")
	case r.Port < 1 || r.Port > 65535:
		return errors.New("the port must be between 1 and 65535")
	}
	return nil
}

func nameRule() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`) }
func repoRule() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$`)
}
func serviceRule() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`) }
func hostRule() *regexp.Regexp {
	return regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
}

// checkRef follows git-check-ref-format(1), and refuses what could be taken for
// an option.
func checkRef(branch string) error {
	bad := strings.ContainsAny(branch, " ~^:?*[\\\x7f") ||
		strings.HasPrefix(branch, "-") || strings.HasPrefix(branch, "/") || strings.HasSuffix(branch, "/") ||
		strings.HasSuffix(branch, ".") || strings.HasSuffix(branch, ".lock") ||
		strings.Contains(branch, "..") || strings.Contains(branch, "//") || strings.Contains(branch, "@{") ||
		strings.ContainsFunc(branch, func(r rune) bool { return r < ' ' })
	if branch == "" || bad {
		return errors.New("not a branch name that git accepts")
	}
	return nil
}
