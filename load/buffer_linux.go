package load

import (
	"net"
	"syscall"
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
