// Package pipeline turns a pushed commit into the version that visitors see.
//
// An App is what an operator deploys: a repository, a branch, its compose
// files and the routes under which visitors reach it. A Release is an
// immutable thing that can run: a commit, the image digests built from it, the
// rendered stack and the version of the app's environment. A Deployment is one
// attempt to make a Release live; it runs as a list of Steps, each of them
// journaled before it acts and after, so that a killed server can tell what it
// was doing.
//
// An app's services run as a Stack in one of two Colors, blue and green. One
// color is live, the other idle. A deployment starts the idle color, probes it
// and then swings all visitors over in one motion, the cutover. The guard
// watches the new color while the old one drains; only when both are done is
// the old color stopped. Until the cutover nothing that serves is touched, so a
// deployment that fails leaves everything as it was.
//
// The list of steps is in steps.go, the way it is walked in run.go, the states
// of a deployment and the transitions between them in state.go. What the steps
// need of the world (git, the container engine, the proxy, durable records) is
// declared in ports.go and given by the packages below this one. The engine
// reports to a Recorder; it knows neither database nor GitHub nor web page, and
// assumes nowhere that the container engine is on this machine.
package pipeline
