//go:build !linux

package load

import "net"

// enlarge asks for a large receive buffer.
func enlarge(conn *net.UDPConn) { _ = conn.SetReadBuffer(socketBuffer) }

// backlog cannot be told here.
func backlog(*net.UDPConn) func() int { return func() int { return 0 } }
