// Package stack reads an app's compose files and says which containers one
// color of it consists of. It is pure: files in, a Stack out, no engine and no
// disk. Only the keys it handles are accepted; any other is refused by name,
// file and line, so that nothing in a file is silently ignored.
package stack
