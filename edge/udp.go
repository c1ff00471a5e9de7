package edge

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// maxDatagram is more than any UDP payload, so that none is cut.
const maxDatagram = 64 << 10

// readErrorPause keeps a socket that only gives errors from using a processor.
const readErrorPause = 5 * time.Millisecond

// packetSocket is a UDP socket as the reader and Send use it. Addresses are
// never IPv4 in IPv6.
type packetSocket interface {
	// reader makes the function that one goroutine reads with. What it gives is
	// good until the next call. local is the address the datagram was sent to,
	// invalid if that is not known.
	reader() readFunc
	// write sends from the address given, or from the system's choice.
	write(b []byte, to netip.AddrPort, from netip.Addr) error
	// stop ends reading, writing stays possible.
	stop()
	close()
}

// readFunc gives the next datagram.
type readFunc func() (b []byte, remote netip.AddrPort, local netip.Addr, err error)

// udpSocket is one served UDP socket.
type udpSocket struct {
	packetSocket
	local    netip.AddrPort
	wildcard bool
}

// newUDPSocket looks at what pc can do.
func newUDPSocket(pc net.PacketConn) *udpSocket {
	local := addrPort(pc.LocalAddr())
	s := &udpSocket{local: local, wildcard: local.Addr().IsUnspecified()}
	if c, ok := pc.(*net.UDPConn); ok {
		if s.packetSocket = newFastSocket(c, s.wildcard); s.packetSocket == nil {
			s.packetSocket = portableUDP{c}
		}
		return s
	}
	s.packetSocket = portablePacket{pc}
	return s
}

// carries reports whether a flow of this local address uses s. On a wildcard
// socket the local address is the one that the peer chose.
func (s *udpSocket) carries(local netip.AddrPort) bool {
	return s.local == local || s.wildcard && local.Port() == s.local.Port() && s.reaches(local.Addr())
}

// reaches reports whether s can send to an address of a's family.
func (s *udpSocket) reaches(a netip.Addr) bool {
	return a.Is4() == s.local.Addr().Is4() || s.wildcard && s.local.Addr().Is6()
}

// readUDP is one reading goroutine. It starts again after a panic.
func (e *Edge) readUDP(s *udpSocket) {
	read := s.reader() // outlives a panic, with the datagrams it has taken already
	for !e.readDatagrams(s, read) {
	}
}

// readDatagrams reports whether reading is over.
func (e *Edge) readDatagrams(s *udpSocket, read readFunc) (done bool) {
	defer e.caught("UDP", s.local)
	flow := sip.Flow{Transport: sip.TransportUDP, Local: s.local}
	for {
		b, remote, local, err := read()
		if err != nil {
			if e.ctx.Err() != nil || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				return true
			}
			e.cfg.Counters.UDPReadErrors.Add(1)
			time.Sleep(readErrorPause)
			continue
		}
		if e.keepAlive(b) {
			continue
		}
		flow.Remote = remote
		if local.IsValid() {
			flow.Local = netip.AddrPortFrom(local, s.local.Port())
		} else {
			flow.Local = s.local
		}
		if e.glance != nil && e.glance(b, flow) {
			e.cfg.Counters.Received[sip.TransportUDP].Add(1)
			continue
		}
		e.deliver(string(b), flow, nil)
	}
}

// stunCookie is the magic cookie of RFC 5389, 6.
const stunCookie = 0x2112A442

// keepAlive reports whether a datagram only keeps a NAT binding open, and
// counts it. None is answered: a spoofed source would get our answer.
func (e *Edge) keepAlive(b []byte) bool {
	if len(b) > 0 && b[0] >= 'A' { // as every method begins that is in use
		return false
	}
	only := func(set string) bool {
		for _, c := range b {
			if c != set[0] && c != set[len(set)-1] {
				return false
			}
		}
		return true
	}
	switch {
	case len(b) >= 20 && b[0]>>6 == 0 && binary.BigEndian.Uint32(b[4:]) == stunCookie:
		e.cfg.Counters.KeepAliveSTUN.Add(1)
	case only("\x00"):
		e.cfg.Counters.KeepAliveNUL.Add(1)
	case only("\r\n"):
		e.cfg.Counters.KeepAliveCRLF.Add(1)
	default:
		return false
	}
	return true
}

// sendUDP writes one datagram.
func (e *Edge) sendUDP(flow sip.Flow, msg []byte) error {
	s, from := e.udpSocket(flow)
	if s == nil {
		return ErrFlowGone
	}
	if err := s.write(msg, flow.Remote, from); err != nil {
		e.cfg.Counters.SendErrors.Add(1)
		return err
	}
	e.cfg.Counters.Sent[sip.TransportUDP].Add(1)
	return nil
}

// runSocket is a packetSocket that can send a run of datagrams at once.
type runSocket interface {
	// writeRun sends b as datagrams of size bytes, the last one perhaps shorter;
	// all of them or none.
	writeRun(b []byte, size int, to netip.AddrPort, from netip.Addr) error
}

// errNoRun says that a run's messages have to be sent one by one.
var errNoRun = errors.New("edge: no run of datagrams can be sent there")

// SendRun writes requests to a UDP flow with one system call: msgs holds them one
// after the other, each of size bytes but for the last, which may be shorter. The
// kernel makes datagrams of them last of all, so that what a send costs is paid
// once. An error means that none has left, and is no more than a reason to call
// Send with each.
func (e *Edge) SendRun(flow sip.Flow, msgs []byte, size int, o Options) error {
	s, from := e.udpSocket(flow)
	if s == nil {
		return ErrFlowGone
	}
	r, ok := s.packetSocket.(runSocket)
	if !ok || o.SwitchTCP && !e.staysUDP(flow, size) {
		return errNoRun
	}
	if err := r.writeRun(msgs, size, flow.Remote, from); err != nil {
		return err
	}
	e.cfg.Counters.Sent[sip.TransportUDP].Add(uint64((len(msgs) + size - 1) / size))
	return nil
}

// udpSocket finds the socket of a flow, and the address to send from if that
// is not the socket's own. A flow without a local address takes any socket.
func (e *Edge) udpSocket(flow sip.Flow) (s *udpSocket, from netip.Addr) {
	sockets := e.sockets.Load()
	if sockets == nil || !flow.Remote.IsValid() {
		return nil, from
	}
	for _, s := range *sockets {
		switch {
		case !s.reaches(flow.Remote.Addr()):
		case !flow.Local.IsValid():
			return s, from
		case s.carries(flow.Local):
			if s.wildcard && !flow.Local.Addr().IsUnspecified() {
				from = flow.Local.Addr()
			}
			return s, from
		}
	}
	return nil, from
}

// portableUDP is a UDP socket by package net alone.
type portableUDP struct{ c *net.UDPConn }

func (p portableUDP) reader() readFunc {
	buf := make([]byte, maxDatagram)
	return func() ([]byte, netip.AddrPort, netip.Addr, error) {
		n, from, err := p.c.ReadFromUDPAddrPort(buf)
		return buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), netip.Addr{}, err
	}
}

func (p portableUDP) write(b []byte, to netip.AddrPort, _ netip.Addr) error {
	_, err := p.c.WriteToUDPAddrPort(b, to)
	return datagramError(err)
}

func (p portableUDP) stop()  { _ = p.c.SetReadDeadline(time.Unix(1, 0)) }
func (p portableUDP) close() { _ = p.c.Close() }

// portablePacket is any other packet connection, such as a test's.
type portablePacket struct{ c net.PacketConn }

func (p portablePacket) reader() readFunc {
	buf := make([]byte, maxDatagram)
	return func() ([]byte, netip.AddrPort, netip.Addr, error) {
		n, from, err := p.c.ReadFrom(buf)
		return buf[:n], addrPort(from), netip.Addr{}, err
	}
}

func (p portablePacket) write(b []byte, to netip.AddrPort, _ netip.Addr) error {
	_, err := p.c.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return datagramError(err)
}

func (p portablePacket) stop()  { _ = p.c.SetReadDeadline(time.Unix(1, 0)) }
func (p portablePacket) close() { _ = p.c.Close() }
