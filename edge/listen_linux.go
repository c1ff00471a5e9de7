package edge

import (
	"net"
	"syscall"
)

// growBuffers asks for udpBuffer, beyond the system's limit if we may, and
// gives what the kernel granted (it doubles the number for its own overhead;
// that is taken out again).
func growBuffers(c *net.UDPConn) (receive, send int) {
	rc, err := c.SyscallConn()
	if err != nil {
		return 0, 0
	}
	_ = rc.Control(func(fd uintptr) {
		receive = growBuffer(int(fd), syscall.SO_RCVBUFFORCE, syscall.SO_RCVBUF)
		send = growBuffer(int(fd), syscall.SO_SNDBUFFORCE, syscall.SO_SNDBUF)
	})
	return receive, send
}

func growBuffer(fd, force, option int) int {
	if syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, force, udpBuffer) != nil {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, option, udpBuffer)
	}
	n, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, option)
	if err != nil {
		return 0
	}
	return n / 2
}
