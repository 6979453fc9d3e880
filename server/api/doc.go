// Package api is the JSON interface of the control plane, everything under
// /api/v1: one http.HandlerFunc for each call, the types that go over the wire
// and the description of them all (openapi.json, checked against every answer
// in tests).
//
// Who may call what is decided before a handler runs, in the route table of
// package server; a handler finds who calls with ActorFrom. Handlers parse, ask
// and answer: what a change means is the business of Options.Commands.
package api
