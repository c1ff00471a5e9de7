package presencetest

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

// The addresses of the network, of the blocks kept for documentation.
var (
	serverAddr = netip.MustParseAddrPort("192.0.2.1:5060")
	// trusted is where user agents live whose P-Asserted-Identity is believed.
	trusted = netip.MustParsePrefix("198.51.100.0/24")
	// stranger is where those live that have to authenticate themselves.
	stranger = netip.MustParsePrefix("203.0.113.0/24")
)

// inbox takes what is sent to an address.
type inbox func(flow sip.Flow, message string)

// network joins the server with everybody else. A message that is sent arrives
// at once, on the sender's goroutine.
type network struct {
	mu      sync.Mutex
	epoch   int // of the server: what an earlier one sends is lost
	receive func(m *sip.Message, flow sip.Flow, err error)
	closed  func(flow sip.Flow)
	hosts   map[netip.AddrPort]inbox // those who take datagrams and connections
	conns   map[uint64]*connection
	last    uint64
	pinned  map[uint64]bool
}

// connection is one stream connection.
type connection struct {
	flow sip.Flow // as the server sees it
	to   inbox
}

func newNetwork() *network {
	return &network{hosts: map[netip.AddrPort]inbox{}, conns: map[uint64]*connection{}, pinned: map[uint64]bool{}}
}

// outlet is one server's gate.Out.
type outlet struct {
	net   *network
	epoch int
}

// attach makes a new server the one that is reached. The connections of the one
// before are gone.
func (n *network) attach() *outlet {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.epoch++
	n.receive, n.closed = nil, nil
	clear(n.conns)
	clear(n.pinned)
	return &outlet{n, n.epoch}
}

// serve gives the server what arrives from now on.
func (n *network) serve(receive func(m *sip.Message, flow sip.Flow, err error), closed func(flow sip.Flow)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.receive, n.closed = receive, closed
}

// Send implements gate.Out.
func (o *outlet) Send(flow sip.Flow, message []byte, dial, _ bool) shard.Outcome {
	to, flow, gone := o.route(flow, dial)
	if to != nil {
		to(flow, string(message))
	}
	if gone {
		return shard.Gone
	}
	return shard.Sent
}

// SendRun implements gate.Out.
func (o *outlet) SendRun(flow sip.Flow, messages []byte, size int, _ bool) bool {
	for m := range slices.Chunk(messages, size) {
		o.Send(flow, m, false, false)
	}
	return true
}

// route finds who gets what goes by flow: nobody for a datagram to an address
// where nobody is, or from a server that is no more.
func (o *outlet) route(flow sip.Flow, dial bool) (to inbox, by sip.Flow, gone bool) {
	n := o.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if o.epoch != n.epoch {
		return nil, flow, false
	}
	if flow.Transport == sip.TransportUDP {
		return n.hosts[flow.Remote], flow, false
	}
	if c := n.conns[flow.Conn]; c != nil && c.flow.Remote == flow.Remote {
		return c.to, c.flow, false
	}
	if !dial {
		return nil, flow, true
	}
	for _, c := range n.conns { // one that was dialled before
		if c.flow.Remote == flow.Remote && c.flow.Transport == flow.Transport {
			return c.to, c.flow, false
		}
	}
	host := n.hosts[flow.Remote]
	if host == nil {
		return nil, flow, true
	}
	c := n.open(flow.Transport, flow.Remote, host)
	return c.to, c.flow, false
}

// Pin implements gate.Out.
func (o *outlet) Pin(flow sip.Flow) {
	o.net.mu.Lock()
	defer o.net.mu.Unlock()
	o.net.pinned[flow.Conn] = true
}

// open makes a connection; the lock is held.
func (n *network) open(t sip.Transport, remote netip.AddrPort, to inbox) *connection {
	n.last++
	c := &connection{flow: sip.Flow{Transport: t, Local: serverAddr, Remote: remote, Conn: n.last}, to: to}
	n.conns[c.flow.Conn] = c
	return c
}

// connect opens a connection to the server.
func (n *network) connect(t sip.Transport, from netip.AddrPort, to inbox) sip.Flow {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open(t, from, to).flow
}

// disconnect ends a connection and tells the server.
func (n *network) disconnect(flow sip.Flow) {
	n.mu.Lock()
	_, there := n.conns[flow.Conn]
	delete(n.conns, flow.Conn)
	closed := n.closed
	n.mu.Unlock()
	if there && closed != nil {
		closed(flow)
	}
}

// alive reports whether a flow's connection is open.
func (n *network) alive(flow sip.Flow) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return flow.Conn == 0 || n.conns[flow.Conn] != nil
}

// toServer carries a message to the server, if there is one and its connection
// is open.
func (n *network) toServer(flow sip.Flow, text string) {
	n.mu.Lock()
	receive := n.receive
	if flow.Conn != 0 && n.conns[flow.Conn] == nil {
		receive = nil
	}
	n.mu.Unlock()
	if receive == nil {
		return
	}
	m := sip.NewMessage()
	err := m.Parse(text, sip.DefaultLimits)
	receive(m, flow, err)
}
