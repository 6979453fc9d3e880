// Package proxy is the data plane: it takes visitors' requests on the public
// listeners and hands each to the deployment that the routing table names.
//
// Caddy does the serving, embedded with one static configuration that is never
// reloaded, because a reload closes the WebSockets of every app. What changes
// is the routing table, an immutable value behind an atomic pointer: a cutover
// stores a new one, and from that instant no new request reaches what was
// replaced. Requests in flight are counted per deployment, WebSockets and event
// streams included, so that a drain is observed and not slept.
//
// What visitors meet besides the app (redirects, HSTS, compression, request
// ids, limits) is decided per request from the same table. Compression and the
// choice of certificates are Caddy's, asked or passed by.
//
// The table is written to DATA/proxy/proxy.table.json and fsynced before it is
// swapped, and read back at start, so the proxy serves without the control
// plane. It is changed through Swing, Drop, Lose, SetMode and Replace, in process
// or over the control API on a unix socket (Control, Client).
//
// A request passes serve, which meets the visitor; enter, which finds the route
// or lets the request wait; and, below a httputil.ReverseProxy, send, which
// chooses a target for each attempt and makes of a stream one that can be ended.
package proxy
