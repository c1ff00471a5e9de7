package server

import "errors"

// The errors of Admin, the same on a running and on a stopped server: the
// control socket carries them by code. They are wrapped with what was asked
// for.
var (
	// ErrNoUser: no user of that name, or no user has that address-of-record.
	ErrNoUser = errors.New("no such user")
	// ErrExists: a user of that name, or one with that address-of-record, is there already.
	ErrExists = errors.New("exists already")
	// ErrNoSuch: no rule, subscription or publication of that name.
	ErrNoSuch = errors.New("not found")
	// ErrStopped: only a running server can do that.
	ErrStopped = errors.New("the server is not running")
	// ErrInvalid: the request itself is wrong, such as an empty password.
	ErrInvalid = errors.New("not valid")
)
