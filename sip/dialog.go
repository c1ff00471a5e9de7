package sip

import (
	"errors"
	"slices"
	"strings"
)

var (
	errNoContact   = errors.New("sip: one Contact is needed for a dialog")
	errBadContact  = errors.New("sip: Contact is not a sip or sips URI")
	errNotRequest  = errors.New("sip: not a request")
	errNotResponse = errors.New("sip: not a response")
)

// DialogFromRequest makes the UAS's side of a dialog (a notifier's): RFC 3261,
// 12.1.1. localTag is the To tag of the response. Its strings are copies, so
// that a long-lived dialog does not keep the whole message.
func DialogFromRequest(req *Message, localTag string) (Dialog, error) {
	if !req.IsRequest() {
		return Dialog{}, errNotRequest
	}
	target, err := remoteTarget(req)
	if err != nil {
		return Dialog{}, err
	}
	return Dialog{
		CallID:       strings.Clone(req.CallID),
		LocalTag:     strings.Clone(localTag),
		RemoteTag:    strings.Clone(req.From.Tag()),
		LocalURI:     bracketed(req.To.RawURI),
		RemoteURI:    bracketed(req.From.RawURI),
		RemoteTarget: target,
		RouteSet:     routeSet(req),
		RemoteSeq:    req.CSeq.Seq,
	}, nil
}

// DialogFromResponse makes the UAC's side of a dialog from its request and the
// response that established it: RFC 3261, 12.1.2. The route set is reversed.
func DialogFromResponse(req, resp *Message) (Dialog, error) {
	if !req.IsRequest() {
		return Dialog{}, errNotRequest
	}
	if resp.IsRequest() {
		return Dialog{}, errNotResponse
	}
	target, err := remoteTarget(resp)
	if err != nil {
		return Dialog{}, err
	}
	routes := routeSet(resp)
	slices.Reverse(routes)
	return Dialog{
		CallID:       strings.Clone(req.CallID),
		LocalTag:     strings.Clone(req.From.Tag()),
		RemoteTag:    strings.Clone(resp.To.Tag()),
		LocalURI:     bracketed(req.From.RawURI),
		RemoteURI:    bracketed(req.To.RawURI),
		RemoteTarget: target,
		RouteSet:     routes,
		LocalSeq:     req.CSeq.Seq,
	}, nil
}

func bracketed(uri string) string { return "<" + uri + ">" }

// remoteTarget gives the URI of the one Contact (RFC 3261, 8.1.1.8: exactly one).
func remoteTarget(m *Message) (string, error) {
	target, n := "", 0
	for v := range m.Values(HeaderContact) {
		if n++; n > 1 {
			return "", errNoContact
		}
		contact, err := ParseNameAddr(v)
		if err != nil {
			return "", err
		}
		if s := contact.URI.Scheme; s != schemeSIP && s != schemeSIPS {
			return "", errBadContact
		}
		target = strings.Clone(contact.RawURI)
	}
	if n == 0 {
		return "", errNoContact
	}
	return target, nil
}

func routeSet(m *Message) (routes []string) {
	for v := range m.Values(HeaderRecordRoute) {
		routes = append(routes, strings.Clone(v))
	}
	return routes
}

// NextHop gives Request-URI and Route header values of an in-dialog request:
// RFC 3261, 12.2.1.1. routes may be d.RouteSet itself: it is not to be changed.
func (d *Dialog) NextHop() (requestURI string, routes []string) {
	if len(d.RouteSet) == 0 {
		return d.RemoteTarget, nil
	}
	first, err := ParseNameAddr(d.RouteSet[0])
	if err != nil {
		return d.RemoteTarget, d.RouteSet
	}
	if _, loose := first.URI.Param("lr"); loose {
		return d.RemoteTarget, d.RouteSet
	}
	// A strict router: it finds its own URI as Request-URI, and puts the next
	// route there in its turn, in the end the remote target.
	routes = make([]string, 0, len(d.RouteSet))
	routes = append(routes, d.RouteSet[1:]...)
	return first.URI.asRequestURI(), append(routes, bracketed(d.RemoteTarget))
}

// asRequestURI gives the URI without what a Request-URI may not have: headers
// and the method parameter (RFC 3261, 19.1.1, table 1).
func (u URI) asRequestURI() string {
	u.Headers = ""
	for i := 0; i < len(u.Params); {
		name, _, _, end := uriParamAt(u.Params, i)
		if equalEscaped(name, "method", true) {
			u.Params = u.Params[:i] + u.Params[end:]
			continue
		}
		i = end
	}
	return u.String()
}
