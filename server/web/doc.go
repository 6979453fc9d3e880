// Package web makes the pages for people: HTML from typed page structs and
// embedded templates, rendered whole before a byte is sent. Nothing in a page
// is inline, so that the content policy of the server can forbid it, and every
// page shows and does all but live updates without JavaScript.
package web
