package stack

import "context"

// Input is what Load reads.
type Input struct {
	App     string            // name of the app
	Files   []File            // compose files, later ones win; none: a Dockerfile at the root is the service "web"
	Overlay string            // a further compose file held by the server, may be empty
	Env     map[string]string // the app's environment: interpolates, fills .env, reaches built services
	Routes  []Route
	Read    func(path string) ([]byte, error) // a regular file of the commit; an error wrapping fs.ErrNotExist if absent
}

// File is a compose file by its path inside the repository.
type File struct {
	Path    string
	Content []byte
}

// Route names the service and port that visitors reach, and under which host.
type Route struct {
	Host    string
	Service string
	Port    int
}

// Load renders the stack. An error of type *Refusal lists everything in the
// files that cannot be honored.
func Load(ctx context.Context, in Input) (Stack, error) {
	panic("not yet")
}
