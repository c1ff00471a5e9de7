package load

import (
	"net"
	"syscall"
	"unsafe"
)

// enlarge asks for a large receive buffer, beyond the system's limit if this
// process may.
func enlarge(conn *net.UDPConn) {
	_ = conn.SetReadBuffer(socketBuffer)
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, socketBuffer)
	})
}

// soMeminfo is SO_MEMINFO of Linux: a socket's memory in use, of which the first
// number is the receive buffer's.
const soMeminfo = 55

// backlog gives a function that tells how many bytes of the receive buffer are in
// use; 0 where the system does not say.
func backlog(conn *net.UDPConn) func() int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return func() int { return 0 }
	}
	return func() (used int) {
		_ = raw.Control(func(fd uintptr) {
			var info [9]uint32
			size := uint32(unsafe.Sizeof(info))
			_, _, errno := syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, fd, syscall.SOL_SOCKET, soMeminfo,
				uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
			if errno == 0 {
				used = int(info[0])
			}
		})
		return used
	}
}
