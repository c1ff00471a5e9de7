package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
)

// udpBuffer is what is asked for a UDP socket's buffers: 4,000 datagrams of
// 1 KB with the kernel's overhead, a burst that a restart of many clients makes.
const udpBuffer = 8 << 20

// ListenUDP opens a UDP socket with large buffers and logs what the kernel
// grants. An address without a host, or [::], takes IPv4 and IPv6.
func ListenUDP(addr string, log *slog.Logger) (*net.UDPConn, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(context.Background(), "udp"+family(addr), addr)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	c, ok := pc.(*net.UDPConn)
	if !ok {
		_ = pc.Close()
		return nil, fmt.Errorf("edge: %s is no UDP socket", addr)
	}
	receive, send := growBuffers(c)
	level := slog.LevelInfo
	if receive < udpBuffer || send < udpBuffer {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "UDP socket buffers", "listener", c.LocalAddr().String(),
		"asked", udpBuffer, "receive", receive, "send", send)
	return c, nil
}

// ListenStream opens a TCP listener, for any of the other transports.
func ListenStream(addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp"+family(addr), addr)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	return l, nil
}

// family keeps an IPv4 wildcard from taking IPv6 as well.
func family(addr string) string {
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
		return "4"
	}
	return ""
}

// datagramError names the error of a datagram that is too large.
func datagramError(err error) error {
	if errors.Is(err, syscall.EMSGSIZE) {
		return ErrTooLarge
	}
	return err
}
