package edge

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// admission bounds how many connections are open, in all and of one address.
type admission struct {
	mu     sync.Mutex
	total  int
	places map[netip.Addr]int
}

// place is what MaxPerAddress counts by: an IPv6 host has a whole /64 to
// choose its addresses from.
func place(a netip.Addr) netip.Addr {
	if a.Is4() || !a.IsValid() {
		return a
	}
	p, _ := a.WithZone("").Prefix(64)
	return p.Addr()
}

// enter takes a place for a connection of addr, or says which limit is reached.
func (a *admission) enter(addr netip.Addr, cfg *Config) error {
	addr = place(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total >= cfg.MaxConnections {
		cfg.Counters.RefusedTotal.Add(1)
		return ErrTooMany
	}
	if cfg.MaxPerAddress > 0 && a.places[addr] >= cfg.MaxPerAddress {
		cfg.Counters.RefusedAddress.Add(1)
		return ErrTooMany
	}
	a.total++
	a.places[addr]++
	return nil
}

func (a *admission) leave(addr netip.Addr) {
	addr = place(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if a.places[addr]--; a.places[addr] == 0 {
		delete(a.places, addr)
	}
}

// admitted is a connection that has a place and gives it back when closed.
type admitted struct {
	net.Conn
	admission *admission
	addr      netip.Addr
	once      sync.Once
}

// Close closes the connection.
func (c *admitted) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.admission.leave(c.addr) })
	return err
}

// CloseWrite ends our direction only, where the connection can do that.
func (c *admitted) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// listener accepts only what the limits admit; the rest is closed at once.
type listener struct {
	net.Listener
	e *Edge
}

// maxAcceptDelay bounds the pause after an Accept that failed for want of file
// descriptors or memory.
const maxAcceptDelay = time.Second

// Accept waits for the next connection that is within the limits.
func (l *listener) Accept() (net.Conn, error) {
	var delay time.Duration
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || l.e.ctx.Err() != nil {
				return nil, net.ErrClosed
			}
			l.e.cfg.Counters.AcceptErrors.Add(1)
			l.e.cfg.Logger.Warn("accept failed", "listener", l.Addr().String(), "err", err)
			delay = min(max(2*delay, 5*time.Millisecond), maxAcceptDelay)
			select {
			case <-time.After(delay):
			case <-l.e.ctx.Done():
			}
			continue
		}
		delay = 0
		addr := addrPort(nc.RemoteAddr()).Addr()
		if err := l.e.admission.enter(addr, &l.e.cfg); err != nil {
			if t, ok := nc.(*net.TCPConn); ok {
				_ = t.SetLinger(0) // a reset: no TIME_WAIT is kept for a flood
			}
			_ = nc.Close()
			continue
		}
		l.e.cfg.Counters.Accepted.Add(1)
		return &admitted{Conn: nc, admission: &l.e.admission, addr: addr}, nil
	}
}

// addrPort reads an address of any network; IPv4 in IPv6 comes out as IPv4. It
// is zero where there is none, as for a pipe.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case nil:
	case interface{ AddrPort() netip.AddrPort }: // *net.TCPAddr, *net.UDPAddr
		ap = a.AddrPort()
	default:
		ap, _ = netip.ParseAddrPort(a.String())
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
