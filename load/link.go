package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// ErrServer means that the server cannot be reached, has gone, or refuses all.
var ErrServer = errors.New("load: server does not serve")

const (
	// socketBuffer is asked of the kernel: some 4,000 NOTIFYs, so that a burst
	// of the server is not lost while this process waits for a processor.
	socketBuffer = 8 << 20
	// maxBacklog of it may be in use before publishers wait: who sends as fast as
	// the server answers must not lose what this process is too slow to read, and
	// then call it the server's loss.
	maxBacklog   = socketBuffer / 8
	readBuffer   = 64 << 10
	writeTimeout = 10 * time.Second
	defaultPort  = "5060"
)

// link is one socket or connection to the server. Messages are read by one
// goroutine; send may be called by several.
type link struct {
	conn   net.Conn
	stream bool
	local  string
	rport  string     // for the top Via of what the server sends
	queued func() int // bytes that wait in the socket's receive buffer, as the kernel counts them
}

// dialLink connects: over UDP so that only the server is heard, and ICMP errors
// are told.
func dialLink(network, server string) (*link, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), defaultPort)
	}
	conn, err := net.DialTimeout(network, server, writeTimeout)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	l := &link{conn: conn, stream: network == "tcp", local: conn.LocalAddr().String(), queued: func() int { return 0 }}
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	l.rport = fmt.Sprintf("=%d;received=%s", remote.Port(), remote.Addr().Unmap())
	if udp, ok := conn.(*net.UDPConn); ok {
		enlarge(udp)
		l.queued = backlog(udp)
	}
	return l, nil
}

// outbox collects messages while a lock is held, for sending after it.
type outbox struct {
	buf  []byte
	ends []int
}

// end marks the end of a message in buf.
func (o *outbox) end() { o.ends = append(o.ends, len(o.buf)) }

// send sends what is in o and empties it. A UDP error other than that nobody
// listens is like a lost message.
func (l *link) send(o *outbox) error {
	defer func() { o.buf, o.ends = o.buf[:0], o.ends[:0] }()
	if len(o.ends) == 0 {
		return nil
	}
	if l.stream {
		_ = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := l.conn.Write(o.buf); err != nil {
			return fmt.Errorf("%w: %w", ErrServer, err)
		}
		return nil
	}
	start := 0
	for _, end := range o.ends {
		if _, err := l.conn.Write(o.buf[start:end]); errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("%w: nothing listens at %s: %w", ErrServer, l.conn.RemoteAddr(), err)
		}
		start = end
	}
	return nil
}

// read hands every message to handle, which puts what is to be sent into the
// outbox, until the link is closed.
func (l *link) read(handle func(message []byte, out *outbox)) error {
	var out outbox
	buf := make([]byte, readBuffer)
	have := 0
	for {
		n, err := l.conn.Read(buf[have:])
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, syscall.ECONNREFUSED):
			return fmt.Errorf("%w: nothing listens at %s: %w", ErrServer, l.conn.RemoteAddr(), err)
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: the server has closed the connection", ErrServer)
		case err != nil:
			return fmt.Errorf("%w: %w", ErrServer, err)
		}
		if !l.stream {
			handle(buf[:n], &out)
		} else {
			used, err := frames(buf[:have+n], handle, &out)
			if err != nil {
				return err
			}
			if have = copy(buf, buf[used:have+n]); have == len(buf) {
				buf = append(buf, make([]byte, len(buf))...) // a message larger than the buffer
			}
		}
		if err := l.send(&out); err != nil {
			return err
		}
	}
}

// frames cuts whole messages from a stream and says how many bytes are used.
func frames(buf []byte, handle func([]byte, *outbox), out *outbox) (used int, err error) {
	for {
		skip, n, _, err := sip.Frame(buf[used:], sip.DefaultLimits)
		if err != nil {
			return used, fmt.Errorf("%w: it sends what is no SIP: %w", ErrServer, err)
		}
		if n > 0 {
			handle(buf[used+skip:used+skip+n], out)
		}
		if used += skip + n; n == 0 {
			return used, nil
		}
	}
}
