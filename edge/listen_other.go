//go:build !linux

package edge

import "net"

// growBuffers asks for udpBuffer; what is granted cannot be read portably.
func growBuffers(c *net.UDPConn) (receive, send int) {
	if c.SetReadBuffer(udpBuffer) == nil {
		receive = udpBuffer
	}
	if c.SetWriteBuffer(udpBuffer) == nil {
		send = udpBuffer
	}
	return receive, send
}
