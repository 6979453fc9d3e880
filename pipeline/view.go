package pipeline

import "time"

// ServiceStatus is what runs of one service now.
type ServiceStatus struct {
	Name       string
	Replica    int // counted from 0
	Color      Color
	Commit     string
	Deployment string
	Health     string // "", starting, healthy, unhealthy
	Status     string // created, running, restarting, exited, dead
	Restarts   int
	StartedAt  time.Time
	Live       bool // visitors are on it
}

// ServicePlace names one container of a service of an app.
type ServicePlace struct {
	App, Service string
	Color        Color // empty: the one that visitors are on
	Replica      int   // counted from 0
}

// PlanSummary says what a deployment of a commit would do, in sentences.
type PlanSummary struct {
	Commit  string
	Build   []string // images that are built
	Pull    []string // images that are fetched from a registry
	Release []string // what runs once, in the new image, before visitors see it
	Create  []string // networks and containers that are made
	Replace []string // what takes the place of something that runs
	Blink   []string // what is away for a moment, and for how long
	Keep    []string // what stays as it is
	Aside   []string // services that are not deployed, and why
	Notes   []string // what the files say to no effect
	Missing []string // permissions and images that are missing: it would fail

	Unchanged   bool // a push of the commit leaves all that runs as it is
	Permissions PermissionDiff
}
