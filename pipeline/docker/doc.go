// Package docker is the container engine: it builds images from a commit's
// tree, makes and ends containers and networks, and tells what happens to them.
// It implements pipeline.Engine on the Docker API and is the only package that
// knows that API.
//
// Three rules hold everywhere in it. What it makes carries the installation's
// labels and name, and what does not carry them is never changed or removed: two
// installations share an engine without noticing each other. Names are
// deterministic, so that "the name is in use" means "look at what is there".
// And an act whose answer did not come may have happened all the same, so it is
// always looked at again before an error is returned.
package docker
