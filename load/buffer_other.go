//go:build !linux

package load

import "net"

// enlarge asks for a large receive buffer.
func enlarge(conn *net.UDPConn) { _ = conn.SetReadBuffer(socketBuffer) }
