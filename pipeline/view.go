package pipeline

import "time"

// ServiceStatus is what runs of one service now.
type ServiceStatus struct {
	Name       string
	Color      Color
	Commit     string
	Deployment string
	Health     string // "", starting, healthy, unhealthy
	Status     string // created, running, restarting, exited, dead
	Restarts   int
	StartedAt  time.Time
	Live       bool // visitors are on it
}

// PlanSummary says what a deployment of a commit would do, in sentences.
type PlanSummary struct {
	Commit  string
	Build   []string
	Create  []string
	Replace []string
	Keep    []string
	Missing []string // permissions and variables that are missing
}
