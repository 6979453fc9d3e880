// Package webhook receives one request from GitHub: it bounds it, verifies the
// signature over the raw bytes, decodes the few fields that matter, decides
// what the delivery means to each app, and answers once all of that is on disk.
//
// Nothing is parsed, written or logged before the signature held. Whatever the
// payload says, it never chooses what is cloned or where it runs: it is a
// doorbell that names a repository, a branch and a commit.
package webhook
