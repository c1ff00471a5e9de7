package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/tacit-presence/tacit/sip"
)

// endpoint is where the server is.
type endpoint struct {
	transport sip.Transport
	host      string // name or IP literal without brackets
	port      uint16 // 0: not given
	path      string // for WebSocket
}

// defaultPort is RFC 3261, 19.1.2 and RFC 7118, 3 (those of HTTP).
func defaultPort(t sip.Transport) uint16 {
	switch t {
	case sip.TransportTLS:
		return 5061
	case sip.TransportWS:
		return 80
	case sip.TransportWSS:
		return 443
	}
	return 5060
}

// parseServer reads Config.Server.
func parseServer(server string, t sip.Transport) (endpoint, error) {
	e := endpoint{transport: t, path: "/"}
	bad := fmt.Errorf("%w: server %q is not host, host:port or sip:domain", ErrConfig, server)
	rest := server
	if strings.HasPrefix(server, "ws://") || strings.HasPrefix(server, "wss://") {
		u, err := url.Parse(server)
		if err != nil || u.Host == "" {
			return e, bad
		}
		if u.Path != "" {
			e.path = u.Path
		}
		rest = u.Host
	} else if scheme, after, ok := strings.Cut(server, ":"); ok && (scheme == "sip" || scheme == "sips") {
		rest, _, _ = strings.Cut(after, ";")
	}
	host, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		if _, err := netip.ParseAddr(rest); err != nil { // not a bare IPv6 address
			host, port = rest[:i], rest[i+1:]
		}
	}
	e.host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if e.host == "" || strings.ContainsAny(e.host, " /@<>[]") {
		return e, bad
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return e, bad
		}
		e.port = uint16(n)
	}
	return e, nil
}

// String is how the endpoint is named in errors.
func (e endpoint) String() string {
	return strings.ToLower(e.transport.String()) + " " + e.hostport()
}

func (e endpoint) hostport() string {
	port := e.port
	if port == 0 {
		port = defaultPort(e.transport)
	}
	return net.JoinHostPort(e.host, strconv.Itoa(int(port)))
}

// targets lists the addresses to try, in order.
// RFC 3263, 4.2: a port or an IP address forbids the SRV look-up. A name
// without SRV records is looked up itself.
func (e endpoint) targets(ctx context.Context) ([]netip.AddrPort, error) {
	type hostPort struct {
		host string
		port uint16
	}
	hosts := []hostPort{{e.host, e.port}}
	if e.port == 0 {
		hosts[0].port = defaultPort(e.transport)
		if _, err := netip.ParseAddr(e.host); err != nil && e.host != "localhost" {
			if service, proto, ok := srvName(e.transport); ok {
				if _, records, err := net.DefaultResolver.LookupSRV(ctx, service, proto, e.host); err == nil && len(records) > 0 {
					hosts = hosts[:0]
					for _, r := range records {
						hosts = append(hosts, hostPort{strings.TrimSuffix(r.Target, "."), r.Port})
					}
				}
			}
		}
	}
	var addrs []netip.AddrPort
	var failed error
	for _, h := range hosts {
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", h.host)
		failed = errors.Join(failed, err)
		for _, ip := range ips {
			addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), h.port))
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%w: cannot find the address of %s (name the server, if DNS does not): %w", ErrConnection, e.host, failed)
	}
	return addrs, nil
}

// srvName is RFC 3263, 4.1; WebSocket has no SRV of its own (RFC 7118, 6).
func srvName(t sip.Transport) (service, proto string, ok bool) {
	switch t {
	case sip.TransportUDP:
		return "sip", "udp", true
	case sip.TransportTCP:
		return "sip", "tcp", true
	case sip.TransportTLS:
		return "sips", "tcp", true
	}
	return "", "", false
}

// parseAddress reads an address-of-record as a person writes it: with or
// without "sip:".
func parseAddress(s string) (sip.URI, string, error) {
	s = strings.TrimSpace(s)
	full := s
	if !strings.HasPrefix(s, "sip:") && !strings.HasPrefix(s, "sips:") && !strings.HasPrefix(s, "pres:") {
		full = "sip:" + s
	}
	u, err := sip.ParseURI(full)
	if err != nil || u.Host == "" || u.User == "" && !strings.HasPrefix(full, "sip") {
		return u, "", fmt.Errorf("%w: %q is not an address such as alice@example.com", ErrConfig, s)
	}
	return u, full, nil
}
