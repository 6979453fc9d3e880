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
	Build   []string
	Create  []string
	Replace []string
	Keep    []string
	Missing []string // permissions and variables that are missing
}
