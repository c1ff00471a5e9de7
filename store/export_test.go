package store

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// WithFS makes OpenPebble use a file system of the test.
func (o Options) WithFS(fs vfs.FS) Options {
	o.fs = fs
	return o
}

// PebbleOptions are the settings that OpenPebble gives to Pebble.
func PebbleOptions() *pebble.Options {
	return pebbleOptions(Options{}, newPebbleLog(nil, new(committer)))
}
