//go:build unix

package server

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// checkOwner refuses that the superuser, who could open anything, works on a
// directory of somebody else's: the files that it would leave there, the server
// could not open any more.
func checkOwner(dir string, info fs.FileInfo, euid int) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if euid != 0 || !ok || st.Uid == 0 {
		return nil
	}
	owner := strconv.FormatUint(uint64(st.Uid), 10)
	name := "#" + owner // as sudo takes a number
	if u, err := user.LookupId(owner); err == nil {
		name = u.Username
	}
	return fmt.Errorf("%w: %s belongs to %s, and what root writes there the server could not read; run this as that user: sudo -u '%s' tacit COMMAND",
		ErrInvalid, dir, name, name)
}
