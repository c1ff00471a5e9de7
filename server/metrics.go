package server

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tacit-presence/tacit/gate"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/xcap"
)

// register enters the server's metrics: what the packages count, read when
// somebody asks.
func (s *Server) register(reg *prometheus.Registry) {
	counter := func(name, help string, read func() float64, labels ...string) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tacit_" + name, Help: help, ConstLabels: pairs(labels)}, read))
	}
	gauge := func(name, help string, read func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tacit_" + name, Help: help}, read))
	}
	g, n, a := &s.count.gate, &s.count.notifier, &s.count.agent

	for i, m := range gate.MethodNames() {
		counter("requests_total", "SIP requests received, by method.", load(&g.Requests[i]), "method", string(m))
	}
	counter("requests_total", "SIP requests received, by method.", load(&g.OtherRequests), "method", "other")
	counter("responses_received_total", "SIP responses received.", load(&g.Responses))
	counter("messages_sent_total", "SIP messages sent by shards.", load(&g.Sent))
	counter("malformed_total", "SIP messages that could not be understood.", load(&g.Malformed))
	counter("retransmissions_received_total", "Requests answered from the transaction table or absorbed.", load(&g.Retransmitted))
	counter("challenged_total", "Requests answered 401.", load(&g.Challenged))
	counter("refused_total", "Requests refused at the gate.", load(&g.Refused))
	counter("overspent_total", "SUBSCRIBEs refused since their watcher asks too often.", load(&g.Overspent))
	counter("overload_total", "Requests answered 503 since a shard had too much to do.", load(&g.Overload))
	counter("stray_responses_total", "Responses that belong to no transaction.", func() float64 {
		return float64(g.StrayResponses.Load() + n.StrayResponses.Load())
	})
	gauge("transactions", "Server transactions remembered.", func() float64 { return float64(s.count.txs.Len()) })

	gauge("subscriptions", "Live subscriptions.", load(&n.Subscriptions))
	counter("subscriptions_accepted_total", "New subscriptions.", load(&n.Accepted))
	counter("subscriptions_refreshed_total", "Refreshed subscriptions.", load(&n.Refreshed))
	counter("subscriptions_refused_total", "SUBSCRIBE requests refused.", load(&n.Refused))
	counter("subscriptions_ended_total", "Subscriptions ended.", load(&n.Ended))
	counter("notify_sent_total", "NOTIFY requests, without retransmissions.", load(&n.Notified))
	counter("notify_retransmitted_total", "NOTIFY retransmissions.", load(&n.Retransmitted))
	counter("notify_answered_total", "NOTIFY requests answered 2xx.", load(&n.Answered))
	counter("notify_failed_total", "NOTIFY requests answered otherwise.", load(&n.Failed))
	counter("notify_too_large_total", "NOTIFY requests that fit no datagram.", load(&n.TooLarge))
	counter("notify_timeout_total", "NOTIFY requests never answered.", load(&n.TimedOut))

	counter("published_total", "PUBLISH requests accepted.", load(&a.Published))
	counter("bad_documents_total", "Presence documents refused.", load(&a.BadDocuments))
	counter("damaged_documents_total", "XCAP documents that could not be read at the start.", load(&a.DamagedDocuments))
	counter("composed_total", "Compositions made.", load(&a.Composed))
	counter("views_total", "Views rendered.", load(&a.Views))

	gauge("connections", "Open connections.", func() float64 { return float64(s.edge.Connections()) })
	for t := sip.TransportUDP; t <= sip.TransportWSS; t++ {
		counter("received_total", "SIP messages received, by transport.", load(&s.count.edge.Received[t]), "transport", strings.ToLower(t.String()))
		counter("sent_total", "SIP messages sent, by transport.", load(&s.count.edge.Sent[t]), "transport", strings.ToLower(t.String()))
	}
	s.registerEdge(counter)
	s.registerIdentity(counter)
}

// responses tells what has been answered; what never was has no series.
type responses struct {
	desc   *prometheus.Desc
	counts *xcap.Counts
}

func newResponses(of, help string, counts *xcap.Counts) *responses {
	return &responses{prometheus.NewDesc("tacit_"+of+"_responses_total", help, []string{"method", "status"}, nil), counts}
}

// Describe implements prometheus.Collector.
func (r *responses) Describe(to chan<- *prometheus.Desc) { to <- r.desc }

// Collect implements prometheus.Collector.
func (r *responses) Collect(to chan<- prometheus.Metric) {
	for by, n := range r.counts.All() {
		to <- prometheus.MustNewConstMetric(r.desc, prometheus.CounterValue, float64(n), by.Method, strconv.Itoa(by.Status))
	}
}

// number is an atomic counter of either kind.
type number[T int64 | uint64] interface{ Load() T }

func load[N number[T], T int64 | uint64](n N) func() float64 {
	return func() float64 { return float64(n.Load()) }
}

func pairs(labels []string) prometheus.Labels {
	set := prometheus.Labels{}
	for i := 0; i+1 < len(labels); i += 2 {
		set[labels[i]] = labels[i+1]
	}
	return set
}

type registerCounter = func(name, help string, read func() float64, labels ...string)

func (s *Server) registerEdge(counter registerCounter) {
	e := &s.count.edge
	counter("keepalives_total", "UDP keep-alives dropped, by kind.", load(&e.KeepAliveCRLF), "kind", "crlf")
	counter("keepalives_total", "UDP keep-alives dropped, by kind.", load(&e.KeepAliveNUL), "kind", "nul")
	counter("keepalives_total", "UDP keep-alives dropped, by kind.", load(&e.KeepAliveSTUN), "kind", "stun")
	counter("pings_total", "Keep-alives answered on connections.", load(&e.Pings))
	counter("parse_errors_total", "Messages the parser refused.", load(&e.ParseErrors))
	counter("framing_errors_total", "Connections closed since no message could be cut from them.", load(&e.FramingErrors))
	counter("oversize_total", "Messages above the size limit.", load(&e.Oversize))
	counter("header_timeouts_total", "Connections closed in the middle of a message.", load(&e.HeaderTimeouts))
	counter("idle_timeouts_total", "Connections closed for silence.", load(&e.IdleTimeouts))
	counter("panics_total", "Panics caught; each is a defect.", load(&e.Panics))
	counter("connections_accepted_total", "Connections accepted.", load(&e.Accepted))
	const refused = "Connections refused, by reason."
	counter("connections_refused_total", refused, load(&e.RefusedTotal), "reason", "total")
	counter("connections_refused_total", refused, load(&e.RefusedAddress), "reason", "address")
	counter("connections_refused_total", refused, load(&e.RefusedOrigin), "reason", "origin")
	counter("connections_refused_total", refused, load(&e.RefusedUpgrade), "reason", "upgrade")
	counter("connections_refused_total", refused, load(&e.HandshakeErrors), "reason", "handshake")
	counter("accept_errors_total", "Errors of listeners.", load(&e.AcceptErrors))
	counter("udp_read_errors_total", "Errors of UDP sockets.", load(&e.UDPReadErrors))
	counter("dialled_total", "Connections opened by the server.", load(&e.Dialled))
	counter("dial_errors_total", "Connections that could not be opened.", load(&e.DialErrors))
	counter("switched_to_tcp_total", "Requests too large for UDP that went by TCP.", load(&e.Switched))
	counter("switch_failed_total", "Addresses found not to speak TCP.", load(&e.SwitchFailed))
	counter("queue_full_total", "Messages not sent since the peer is slow.", load(&e.QueueFull))
	counter("send_errors_total", "Messages that could not be written.", load(&e.SendErrors))
}

// registerIdentity reads from the authenticator of the moment: a reload makes a
// new one, and its counters begin anew, as Prometheus allows.
func (s *Server) registerIdentity(counter registerCounter) {
	for name := range s.auth.Load().Stats().All() {
		counter("identified_total", "What became of requests that had to be identified.", func() float64 {
			for n, v := range s.auth.Load().Stats().All() {
				if n == name {
					return float64(v)
				}
			}
			return 0
		}, "outcome", name)
	}
}
