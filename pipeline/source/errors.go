package source

import (
	"errors"
	"fmt"
)

// Refusal says what in a commit cannot be honored, and where. It is the
// commit's fault: trying again gives the same.
type Refusal struct {
	Path   string // in the repository, "." is its root
	Reason string // follows the path in a sentence
}

func (r *Refusal) Error() string { return fmt.Sprintf("%q %s", r.Path, r.Reason) }

func refuse(path, reason string, args ...any) error {
	return &Refusal{Path: path, Reason: fmt.Sprintf(reason, args...)}
}

// ErrTooLarge is wrapped where a repository exceeds a limit.
var ErrTooLarge = errors.New("larger than allowed")

// ErrAccess is wrapped, beside pipeline.ErrUnreachable, where the forge does
// not let us in.
var ErrAccess = errors.New("access denied")

// errOffline is wrapped, beside pipeline.ErrUnreachable, where the forge gave
// no answer at all or one that says to come again.
var errOffline = errors.New("no answer")

// damageError says that the store lacks something it should have.
type damageError struct{ err error }

func (d *damageError) Error() string { return "the local store is damaged: " + d.err.Error() }
func (d *damageError) Unwrap() error { return d.err }

func damaged(doing string, err error) error {
	return &damageError{fmt.Errorf("%s: %w", doing, err)}
}
