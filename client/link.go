package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/tacit-presence/tacit/sip"
)

const (
	// udpKeepAlive keeps a NAT binding open: many last 30 s (RFC 4787, 4.3
	// found shorter ones than it asks for).
	udpKeepAlive = 25 * time.Second
	// streamKeepAlive is the least of RFC 5626, 4.4.1.
	streamKeepAlive = 95 * time.Second
	// writeTimeout bounds one write to a peer that does not read.
	writeTimeout = 10 * time.Second
	// probeWait is how long an ICMP error may take; it is for the local host
	// and network.
	probeWait = 200 * time.Millisecond
)

var crlfcrlf = []byte("\r\n\r\n")

// link is one flow to the server: a UDP socket or a connection.
type link struct {
	transport sip.Transport
	sentBy    string // of our Via
	contact   string // our Contact's URI
	// write sends one message; to is looked at by UDP alone.
	write  func(raw []byte, to netip.AddrPort) error
	remote netip.AddrPort
	close  func()

	once sync.Once
	done chan struct{} // closed when broken; err is set before
	err  error
}

// fail breaks the link; the first reason stays.
func (l *link) fail(err error) {
	l.once.Do(func() {
		l.err = err
		l.close()
		close(l.done)
	})
}

// send sends to the server.
func (l *link) send(raw []byte) error {
	if err := l.write(raw, l.remote); err != nil {
		err = fmt.Errorf("%w: %w", ErrConnection, err)
		if l.transport.Reliable() {
			l.fail(err)
		}
		return err
	}
	return nil
}

// flow returns the link, and makes a new one if there is none that works.
func (c *Client) flow(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, closed := c.link, c.closed
		c.mu.Unlock()
		if closed {
			return nil, ErrClosed
		}
		if l != nil {
			select {
			case <-l.done:
			default:
				return l, nil
			}
		}
		select {
		case c.dialing <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.done:
			return nil, ErrClosed
		}
		err := c.redial(ctx, l)
		<-c.dialing
		if err != nil {
			return nil, err
		}
	}
}

// redial replaces old, unless somebody else has meanwhile.
func (c *Client) redial(ctx context.Context, old *link) error {
	c.mu.Lock()
	current := c.link
	c.mu.Unlock()
	if current != old {
		return nil
	}
	addrs, err := c.endpoint.targets(ctx)
	if err != nil {
		return err
	}
	var l *link
	var failed error
	for _, addr := range addrs {
		if l, err = c.dial(ctx, addr); err == nil {
			break
		}
		failed = errors.Join(failed, err)
	}
	if l == nil {
		return fmt.Errorf("%w: %s: %w", ErrConnection, c.endpoint, failed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		l.fail(ErrClosed)
		return ErrClosed
	}
	c.link = l
	c.wg.Go(func() { c.keepAlive(l) })
	if old != nil {
		c.log.Info("connected again", "server", c.endpoint.String())
	}
	return nil
}

// dial makes a link to addr and starts its reader.
func (c *Client) dial(ctx context.Context, addr netip.AddrPort) (*link, error) {
	l := &link{transport: c.endpoint.transport, remote: addr, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var err error
	switch l.transport {
	case sip.TransportUDP:
		err = c.dialUDP(l)
	case sip.TransportTCP, sip.TransportTLS:
		err = c.dialStream(ctx, l)
	default:
		err = c.dialWebSocket(ctx, l)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// address fills in what we tell of ourselves, from the local address.
func (c *Client) address(l *link, local net.Addr) {
	ap, _ := netip.ParseAddrPort(local.String())
	ap = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	l.sentBy = ap.String()
	l.contact = "sip:" + c.userPart + "@" + l.sentBy + ";transport=" + strings.ToLower(l.transport.String())
}

// dialUDP opens a socket that is not connected, because a NOTIFY may come from
// a server behind a proxy that did not record-route.
func (c *Client) dialUDP(l *link) error {
	probe, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.remote)) // sends nothing
	if err != nil {
		return err
	}
	ip := probe.LocalAddr().(*net.UDPAddr).IP
	_ = probe.Close()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
	if err != nil {
		return err
	}
	c.address(l, conn.LocalAddr())
	l.close = func() { _ = conn.Close() }
	l.write = func(raw []byte, to netip.AddrPort) error {
		_, err := conn.WriteToUDPAddrPort(raw, to)
		return err
	}
	c.start(func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				l.fail(fmt.Errorf("%w: %w", ErrConnection, err))
				return
			}
			c.receive(l, string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
	})
	return nil
}

// refused finds out whether nothing listens at the server's UDP port: a
// connected socket is told of ICMP errors, the one we use is not. It sends the
// CRLF of a keep-alive.
func (l *link) refused() bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.remote))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if _, err = conn.Write(crlfcrlf[:2]); err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(probeWait))
		_, err = conn.Read(make([]byte, 1))
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func (c *Client) dialStream(ctx context.Context, l *link) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.remote.String())
	if err != nil {
		return err
	}
	if l.transport == sip.TransportTLS {
		t := tls.Client(conn, c.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return fmt.Errorf("TLS with %s: %w", c.tls.ServerName, err)
		}
		conn = t
	}
	c.address(l, conn.LocalAddr())
	l.close = func() { _ = conn.Close() }
	var mu sync.Mutex // keeps one message's bytes together
	l.write = func(raw []byte, _ netip.AddrPort) error {
		mu.Lock()
		defer mu.Unlock()
		_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := conn.Write(raw)
		return err
	}
	c.start(func() { l.fail(c.readStream(l, conn)) })
	return nil
}

// readStream cuts messages from a connection until it breaks.
func (c *Client) readStream(l *link, conn net.Conn) error {
	buf := make([]byte, 0, 64<<10)
	for {
		skip, n, pings, err := sip.Frame(buf, sip.DefaultLimits)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		for range pings {
			_ = l.write(crlfcrlf[:2], l.remote)
		}
		if n > 0 {
			c.receive(l, string(buf[skip:skip+n]), l.remote)
		}
		buf = append(buf[:0], buf[skip+n:]...)
		if n > 0 {
			continue
		}
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, cap(buf))...)[:len(buf)]
		}
		n, err = conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return fmt.Errorf("%w: the connection to %s broke: %w", ErrConnection, c.endpoint, err)
		}
		buf = buf[:len(buf)+n]
	}
}

// dialWebSocket is RFC 7118: subprotocol "sip", one message a frame, and a
// sent-by that nobody can resolve (RFC 7118, 5).
func (c *Client) dialWebSocket(ctx context.Context, l *link) error {
	scheme := "ws"
	if l.transport == sip.TransportWSS {
		scheme = "wss"
	}
	dialer := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, l.remote.String())
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer, TLSClientConfig: c.tls}}
	host := net.JoinHostPort(c.endpoint.host, strconv.Itoa(int(l.remote.Port())))
	conn, resp, err := websocket.Dial(ctx, scheme+"://"+host+c.endpoint.path, &websocket.DialOptions{
		HTTPClient: client, Subprotocols: []string{"sip"},
	})
	if err != nil {
		return err
	}
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	if conn.Subprotocol() != "sip" {
		_ = conn.CloseNow()
		return fmt.Errorf("%w: the server does not speak SIP over WebSocket (RFC 7118)", ErrProtocol)
	}
	conn.SetReadLimit(int64(sip.DefaultLimits.MaxMessage))
	l.sentBy = strings.ToLower(newTag()) + ".invalid"
	l.contact = "sip:" + c.userPart + "@" + l.sentBy + ";transport=ws"
	reading, stop := context.WithCancel(context.Background())
	l.close = func() { stop(); _ = conn.CloseNow() }
	l.write = func(raw []byte, _ netip.AddrPort) error {
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		defer cancel()
		return conn.Write(ctx, websocket.MessageText, raw)
	}
	c.start(func() {
		for {
			_, raw, err := conn.Read(reading)
			if err != nil {
				l.fail(fmt.Errorf("%w: the connection to %s broke: %w", ErrConnection, c.endpoint, err))
				return
			}
			c.receive(l, string(raw), l.remote)
		}
	})
	return nil
}

// keepAlive keeps the way back to us open while there are subscriptions.
func (c *Client) keepAlive(l *link) {
	interval, ping := streamKeepAlive, crlfcrlf
	if l.transport == sip.TransportUDP {
		interval, ping = udpKeepAlive, crlfcrlf[:2]
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		idle := len(c.usages) == 0
		c.mu.Unlock()
		if !idle {
			_ = l.send(ping) // a broken connection fails the link by itself
		}
	}
}
