// Package auth says who a request comes from, and seals what must be kept
// secret at rest.
//
// A person or script is known by an API token, or by the session that was
// opened with one in a browser. Tokens and sessions have 256 random bits and
// only their SHA-256 is kept, so a database that leaks opens no door.
package auth
