// Package server is the daemon's front: it listens, says with one table who
// may call what (routes.go), and ends in order. What answers lies below it, in
// api and web, and in package webhook.
package server
