package sip

import (
	"errors"
	"net/netip"
	"strings"
)

var (
	errViaProtocol = errors.New("sip: malformed sent-protocol")
	errViaHost     = errors.New("sip: malformed sent-by")
	errViaParam    = errors.New("sip: malformed Via parameter")
)

// ParseVia reads one Via value.
func ParseVia(s string) (Via, error) {
	var v Via
	end, err := v.parse(s, 0)
	if err == nil && end != len(s) {
		err = errTrailing
	}
	return v, err
}

// parse reads one via-parm from s[i] on, and gives the index of the comma that
// ends it, or len(s).
func (v *Via) parse(s string, i int) (int, error) {
	*v = Via{}
	i, err := v.protocol(s, skipWS(s, i))
	if err != nil {
		return i, err
	}
	var ok bool
	if v.Host, i, ok = scanHost(s, i); !ok {
		return i, errViaHost
	}
	if j := skipWS(s, i); j < len(s) && s[j] == ':' {
		if v.Port, i, ok = scanPort(s, skipWS(s, j+1)); !ok {
			return i, errViaHost
		}
	}
	return v.params(s, skipWS(s, i))
}

// protocol reads protocol-name SLASH protocol-version SLASH transport LWS.
func (v *Via) protocol(s string, i int) (int, error) {
	for range 2 {
		end := span(s, i, classToken)
		if end == i {
			return i, errViaProtocol
		}
		if i = skipWS(s, end); i == len(s) || s[i] != '/' {
			return i, errViaProtocol
		}
		i = skipWS(s, i+1)
	}
	end := span(s, i, classToken)
	if end == i {
		return i, errViaProtocol
	}
	v.Transport = upperTransport(s[i:end])
	if i = skipWS(s, end); i == end {
		return i, errViaProtocol
	}
	return i, nil
}

func upperTransport(s string) string {
	if t, ok := ParseTransport(s); ok {
		return t.String()
	}
	return strings.ToUpper(s)
}

// params reads *( SEMI via-params ), no name twice.
func (v *Via) params(s string, i int) (int, error) {
	var seen nameSet
	start, end := i, i
	for i < len(s) && s[i] == ';' {
		p, next, err := nextViaParam(s, i)
		if err != nil {
			return i, err
		}
		maybe, ok := seen.add(p.name)
		if !ok {
			return i, errParamMany
		}
		if maybe && viaParamBefore(s[start:i], p.name) {
			return i, errParamTwice
		}
		if err := v.set(p); err != nil {
			return i, err
		}
		i, end = next, next
	}
	if i < len(s) && s[i] != ',' {
		return i, errTrailing
	}
	v.Params = trimWS(s[start:end])
	return i, nil
}

// set keeps and checks the parameters that have a meaning here.
func (v *Via) set(p param) error {
	switch len(p.name) {
	case len("ttl"):
		if equalFold(p.name, "ttl") {
			if n, err := ParseUint32(p.value); err != nil || n > 255 {
				return errViaParam
			}
		}
	case len("rport"):
		if equalFold(p.name, "rport") {
			v.HasRPort = true
			if p.hasValue {
				port, end, ok := scanPort(p.value, 0)
				if !ok || end != len(p.value) {
					return errViaParam
				}
				v.RPort = port
			}
		}
	case len("branch"):
		if equalFold(p.name, "branch") {
			if !isToken(p.value) {
				return errViaParam
			}
			v.Branch = p.value
		}
	case len("received"):
		if equalFold(p.name, "received") {
			v.Received = strings.TrimSuffix(strings.TrimPrefix(p.value, "["), "]")
			if !validIPv4(v.Received) && !validIPv6(v.Received) {
				return errViaParam
			}
		}
	}
	return nil
}

// nextViaParam is nextParam, but that received may hold a bare IPv6 address.
// RFC 5118, 4.5: it is taken with and without the brackets.
func nextViaParam(s string, i int) (p param, end int, err error) {
	p, end, err = nextParam(s, i)
	if !p.hasValue || !equalFold(p.name, "received") || err == nil && p.value[0] == '[' {
		return p, end, err
	}
	eq := strings.IndexByte(s[i:], '=') + i
	start := skipWS(s, eq+1)
	for end = start; end < len(s) && (is(s[end], classHex) || s[end] == ':' || s[end] == '.'); {
		end++
	}
	if end == start {
		return p, end, errViaParam
	}
	p.value = s[start:end]
	return p, skipWS(s, end), nil
}

func viaParamBefore(params, name string) bool {
	for i := 0; i < len(params) && params[i] == ';'; {
		p, end, err := nextViaParam(params, i)
		if err != nil {
			return false
		}
		if equalFold(p.name, name) {
			return true
		}
		i = end
	}
	return false
}

// sentByIs reports whether the sent-by host is the literal address a.
func (v *Via) sentByIs(a netip.Addr) bool {
	host, ok := hostAddr(v.Host)
	return ok && host.Unmap() == a.Unmap()
}
