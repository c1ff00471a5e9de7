package sip

import (
	"slices"
	"testing"
)

func TestDialogFromRequest(t *testing.T) {
	t.Parallel()
	req := parsed(t, with("Contact: \"W\" <sip:w@192.0.2.9:5070;transport=tcp>;expires=3",
		"Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>;x=y", "CSeq: 17 OPTIONS"))
	d, err := DialogFromRequest(req, "mine")
	if err != nil {
		t.Fatal(err)
	}
	if d.CallID != "c1@192.0.2.1" || d.LocalTag != "mine" || d.RemoteTag != "1" || d.RemoteSeq != 17 || d.LocalSeq != 0 ||
		d.LocalURI != "<sip:b@example.com>" || d.RemoteURI != "<sip:a@example.com>" || d.RemoteTarget != "sip:w@192.0.2.9:5070;transport=tcp" {
		t.Errorf("%+v", d)
	}
	if want := []string{"<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>;x=y"}; !slices.Equal(d.RouteSet, want) {
		t.Errorf("route set %q", d.RouteSet)
	}
	for _, contact := range []string{"*", "<sip:a@b.c>, <sip:d@e.f>", "<tel:+1>", "<http://a.b>"} {
		if _, err := DialogFromRequest(parsed(t, with("Contact: "+contact)), "x"); err == nil {
			t.Errorf("Contact %s makes a dialog", contact)
		}
	}
	if _, err := DialogFromRequest(parsed(t, with()), "x"); err == nil {
		t.Error("no Contact makes a dialog")
	}
	if _, err := DialogFromRequest(parsed(t, sampleResponse), "x"); err == nil {
		t.Error("a response makes the UAS's dialog")
	}
}

func TestDialogFromResponse(t *testing.T) {
	t.Parallel()
	req := parsed(t, with("CSeq: 17 OPTIONS"))
	resp := parsed(t, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@example.com>;tag=1\r\n"+
		"To: <sip:b@example.com>;tag=theirs\r\nCall-ID: c1@192.0.2.1\r\nCSeq: 17 OPTIONS\r\nContact: <sip:s.example.com>\r\n"+
		"Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com>\r\nContent-Length: 0\r\n\r\n")
	d, err := DialogFromResponse(req, resp)
	if err != nil {
		t.Fatal(err)
	}
	if d.LocalTag != "1" || d.RemoteTag != "theirs" || d.LocalSeq != 17 || d.RemoteSeq != 0 ||
		d.LocalURI != "<sip:a@example.com>" || d.RemoteURI != "<sip:b@example.com>" || d.RemoteTarget != "sip:s.example.com" {
		t.Errorf("%+v", d)
	}
	if want := []string{"<sip:p2.example.com>", "<sip:p1.example.com;lr>"}; !slices.Equal(d.RouteSet, want) {
		t.Errorf("route set %q", d.RouteSet)
	}
	if _, err := DialogFromResponse(resp, resp); err == nil {
		t.Error("a response taken for a request")
	}
	if _, err := DialogFromResponse(req, req); err == nil {
		t.Error("a request taken for a response")
	}
}

func TestNextHop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		routes []string
		uri    string
		want   []string
	}{
		{nil, "sip:user@remoteua", nil},
		{[]string{"<sip:proxy1;lr>", "<sip:proxy2>"}, "sip:user@remoteua", []string{"<sip:proxy1;lr>", "<sip:proxy2>"}},
		{[]string{"<sip:proxy1;l%72=on>"}, "sip:user@remoteua", []string{"<sip:proxy1;l%72=on>"}},
		// The example of RFC 3261, 12.2.1.1.
		{
			[]string{"<sip:proxy1>", "<sip:proxy2>", "<sip:proxy3;lr>", "<sip:proxy4>"}, "sip:proxy1",
			[]string{"<sip:proxy2>", "<sip:proxy3;lr>", "<sip:proxy4>", "<sip:user@remoteua>"},
		},
		{[]string{"P <sip:proxy1;method=INVITE;transport=tcp?Subject=x>;lr"}, "sip:proxy1;transport=tcp", []string{"<sip:user@remoteua>"}},
	} {
		d := Dialog{RemoteTarget: "sip:user@remoteua", RouteSet: c.routes}
		if uri, routes := d.NextHop(); uri != c.uri || !slices.Equal(routes, c.want) {
			t.Errorf("%q: %s %q", c.routes, uri, routes)
		}
	}
}
