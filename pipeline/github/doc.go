// Package github speaks GitHub's REST API: it finds branch heads, hands out
// tokens for git, and tells GitHub what became of a deployment.
//
// A Client has one identity: a GitHub App, a token, or none. An App reports by
// check runs and deployment records, a token by commit statuses and deployment
// records, since only an App may write checks.
//
// What GitHub should see is computed by the pure functions of report.go from a
// deployment alone. The Sender takes rows from an outbox, one per deployment
// and place, and brings that place to the newest wanted version. It skips
// versions that a newer one has overtaken, looks for what an interrupted call
// may have made before it makes anything, never opens again what is closed, and
// keeps GitHub's rules about rates. Nothing waits for it.
//
// Answers are decoded by small structs of our own: go-github v60 cannot decode
// a repository whose custom properties hold a list, and answers that we have no
// use for cannot break us then.
package github
