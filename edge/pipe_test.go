package edge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

// pipeListener is an in-memory listener.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr("192.0.2.1:5060") }

// dial connects as from the address given.
func (l *pipeListener) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.conns <- pipeConn{server, l.Addr(), pipeAddr(from)}
	return client
}

type pipeAddr string

func (a pipeAddr) Network() string { return "pipe" }
func (a pipeAddr) String() string  { return string(a) }

type pipeConn struct {
	net.Conn
	local, remote net.Addr
}

func (c pipeConn) LocalAddr() net.Addr  { return c.local }
func (c pipeConn) RemoteAddr() net.Addr { return c.remote }

// datagram is one packet of a memPacket.
type datagram struct {
	addr netip.AddrPort
	b    []byte
}

// memPacket is an in-memory net.PacketConn.
type memPacket struct {
	in, out chan datagram
	stopped chan struct{}
	once    sync.Once
}

func newMemPacket() *memPacket {
	return &memPacket{in: make(chan datagram, 1000), out: make(chan datagram, 1000), stopped: make(chan struct{})}
}

func (p *memPacket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-p.in:
		return copy(b, d.b), net.UDPAddrFromAddrPort(d.addr), nil
	default:
	}
	select {
	case d := <-p.in:
		return copy(b, d.b), net.UDPAddrFromAddrPort(d.addr), nil
	case <-p.stopped:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (p *memPacket) WriteTo(b []byte, to net.Addr) (int, error) {
	p.out <- datagram{addrPort(to), append([]byte(nil), b...)}
	return len(b), nil
}

func (p *memPacket) Close() error                     { return p.SetReadDeadline(noTime) }
func (p *memPacket) LocalAddr() net.Addr              { return pipeAddr("192.0.2.1:5060") }
func (p *memPacket) SetDeadline(time.Time) error      { return nil }
func (p *memPacket) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline ends reading, whatever the time: the Edge sets none but to stop.
func (p *memPacket) SetReadDeadline(time.Time) error {
	p.once.Do(func() { close(p.stopped) })
	return nil
}

// certificates makes a server's TLS configuration and that of a client which
// trusts it, for 127.0.0.1 and example.com.
func certificates(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	server = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
}

// dialNothing is a Config.Dial to a host that never answers.
func dialNothing(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
