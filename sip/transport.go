package sip

// ParseTransport reads "udp", "TCP", "tls", "ws" or "wss" in any case.
func ParseTransport(s string) (Transport, bool) {
	for t := TransportUDP; t <= TransportWSS; t++ {
		if equalFold(s, t.String()) {
			return t, true
		}
	}
	return TransportNone, false
}
