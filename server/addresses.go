package server

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/tacit-presence/tacit/sip"
)

// address is how one listener is reached.
type address struct {
	transport sip.Transport
	local     netip.AddrPort
	sentBy    string
	contact   string
	sips      string
	// wild: a wildcard listener with nothing advertised is reached by whatever
	// address the peer chose; one entry for each, made when first seen.
	wild *sync.Map // of netip.AddrPort, to *address
}

// addresses implements notifier.Addresses for a server's listeners.
type addresses struct {
	by       [sip.TransportWSS + 1][]address
	instance string
	dials    func(netip.Addr) bool
}

// publicAddress is what a listener on local is reached by: the advertised
// address if there is one, else local, and for a wildcard this machine's own.
func publicAddress(local netip.AddrPort, advertise string, isMain bool) string {
	host, port := local.Addr().Unmap().String(), local.Port()
	if local.Addr().IsUnspecified() {
		host = machineAddress(local.Addr().Is4()).String()
	}
	if advertise != "" {
		host = advertise
		if h, p, err := net.SplitHostPort(advertise); err == nil {
			host = h
			if n, err := strconv.ParseUint(p, 10, 16); err == nil && isMain {
				port = uint16(n)
			}
		}
		host = strings.Trim(host, "[]")
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// PublicAddress is the HOST:PORT by which others reach a bound listener.
func PublicAddress(l Listener, advertise string) string {
	local, err := netip.ParseAddrPort(l.Address)
	if err != nil {
		return l.Address
	}
	return publicAddress(local, advertise, l.Transport == sip.TransportUDP || l.Transport == sip.TransportTCP)
}

// machineAddress is this machine's first address that others can reach, or
// loopback when it has none.
func machineAddress(v4 bool) netip.Addr {
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if ip := p.Addr().Unmap(); ip.IsGlobalUnicast() && (ip.Is4() || !v4) {
			return ip
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// add enters a listener. The port of an advertised address holds for UDP and
// TCP; the others keep their own.
func (a *addresses) add(t sip.Transport, local netip.AddrPort, advertise string) {
	public := publicAddress(local, advertise, t == sip.TransportUDP || t == sip.TransportTCP)
	entry := a.address(t, local, public)
	if local.Addr().IsUnspecified() && advertise == "" {
		entry.wild = new(sync.Map)
	}
	a.by[t] = append(a.by[t], entry)
}

// address spells out what a listener is called.
func (a *addresses) address(t sip.Transport, local netip.AddrPort, public string) address {
	plain, secure := "", ""
	switch t {
	case sip.TransportTCP:
		plain, secure = ";transport=tcp", ";transport=tcp"
	case sip.TransportTLS:
		plain, secure = ";transport=tls", ";transport=tcp" // RFC 3261, 26.2.2: sips says TLS already
	case sip.TransportWS, sip.TransportWSS:
		plain, secure = ";transport=ws", ";transport=ws" // RFC 7118, 4.2
	}
	return address{
		transport: t, local: local, sentBy: public,
		contact: "<sip:tacit@" + public + plain + ";gr=" + a.instance + ">",
		sips:    "<sips:tacit@" + public + secure + ";gr=" + a.instance + ">",
	}
}

// find returns the listener that a flow belongs to: the one with its local
// address, else its port (a wildcard's), else its family, else any.
func (a *addresses) find(f sip.Flow) *address {
	list := a.by[f.Transport]
	for i := range list {
		if list[i].local == f.Local {
			return &list[i]
		}
	}
	for i := range list {
		if l := &list[i]; l.local.Port() == f.Local.Port() && l.wild != nil {
			return a.chosen(l, f.Local)
		}
	}
	for i := range list {
		if list[i].local.Addr().Is4() == f.Remote.Addr().Is4() {
			return &list[i]
		}
	}
	if len(list) > 0 {
		return &list[0]
	}
	for t := range a.by {
		if len(a.by[t]) > 0 {
			return &a.by[t][0]
		}
	}
	return &nowhere
}

// nowhere stands for a server without listeners.
var nowhere = address{sentBy: "tacit.invalid", contact: "<sip:tacit@tacit.invalid>", sips: "<sips:tacit@tacit.invalid>"}

// chosen is a wildcard listener as reached by one of this machine's addresses.
func (a *addresses) chosen(l *address, local netip.AddrPort) *address {
	if known, ok := l.wild.Load(local); ok {
		return known.(*address)
	}
	entry := a.address(l.transport, local, local.String())
	known, _ := l.wild.LoadOrStore(local, &entry)
	return known.(*address)
}

// SentBy is the HOST:PORT of Via.
func (a *addresses) SentBy(f sip.Flow) string { return a.find(f).sentBy }

// Contact is the Contact header field's value.
func (a *addresses) Contact(f sip.Flow, sips bool) string {
	if sips {
		return a.find(f).sips
	}
	return a.find(f).contact
}

// MayDial reports whether f's remote address is a configured peer. A stopped
// server (Offline) calls nobody.
func (a *addresses) MayDial(f sip.Flow) bool { return a.dials != nil && a.dials(f.Remote.Addr()) }
