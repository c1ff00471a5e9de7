package sip

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse: what is accepted is written back as the same message, a refused
// one can be answered without adding a line, and Frame agrees with Parse.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/rfc*/*.dat")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	f.Add(samplePublish)
	f.Add(sampleRegister)
	f.Add(sampleResponse)
	f.Fuzz(func(t *testing.T, raw string) {
		var m Message
		if err := m.Parse(raw, DefaultLimits); err == nil {
			roundTrip(t, &m)
			framesItself(t, &m)
		} else if !m.Answerable() {
			return
		}
		out := string(AppendResponse(nil, &m, Reply{Status: 400, ToTag: "t"}))
		lines, seen := 3, map[HeaderID]bool{} // status, Content-Length, end
		for _, h := range m.Headers {
			switch h.ID {
			case HeaderFrom, HeaderTo, HeaderCallID, HeaderCSeq:
				if seen[h.ID] {
					continue
				}
				seen[h.ID] = true
				lines++
			case HeaderVia:
				lines++
			}
		}
		if n := strings.Count(out, "\n"); n != lines && m.IsRequest() || strings.Count(out, "\r") != n {
			t.Fatalf("%d lines, not %d: %q", n, lines, out)
		}
	})
}

func framesItself(t *testing.T, m *Message) {
	out := m.AppendMessage(nil)
	if skip, n, _, err := Frame(out, DefaultLimits); err != nil || skip != 0 || n != len(out) {
		t.Fatalf("Frame cuts %d of %d bytes after %d: %v\n%q", n, len(out), skip, err, out)
	}
}

// FuzzURI: what is accepted is equal to itself, written and read; its
// address-of-record is canonical and equals the URI without its parameters.
func FuzzURI(f *testing.F) {
	for _, s := range []string{
		"sip:alice@example.com", "sips:a%20b:pw@[2001:db8::1]:5061;x=y?s=1", "tel:+1-201-555;ext=9", "pres:a@b.c",
		"sip:a%40b@c.d", "urn:x", "sip:[2001:db8:::192.0.2.1]", "sip:a@b.c;%6C%72;n=%41",
		"tel:7;phone-context=+1-2;ext=-;%61=%42.", "tel:*#a;phone-context=Example.com.",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			return
		}
		again, err := ParseURI(u.String())
		if err != nil || again != u || !u.Equal(again) {
			t.Fatalf("%q: %+v\n%q: %+v %v", s, u, u.String(), again, err)
		}
		if tel, err := u.Tel(); err == nil {
			same, err := ParseURI(string(tel))
			if err != nil || !same.Equal(u) {
				t.Fatalf("%q: as an identity %q: %v", s, tel, err)
			}
			if twice, err := same.Tel(); err != nil || twice != tel {
				t.Fatalf("%q: %q is not canonical: %q %v", s, tel, twice, err)
			}
		}
		aor, err := u.AOR()
		if err != nil {
			return
		}
		canonical, err := ParseURI(string(aor))
		if err != nil {
			t.Fatalf("%q: address-of-record %q: %v", s, aor, err)
		}
		if twice, err := canonical.AOR(); err != nil || twice != aor {
			t.Fatalf("%q: %q is not canonical: %q %v", s, aor, twice, err)
		}
	})
}

// FuzzNameAddr: the parts that are cut out of a value make up the value.
func FuzzNameAddr(f *testing.F) {
	for _, s := range []string{`"A \"B\"" <sip:a@b.c;lr>;tag=x;q="1"`, "sip:a@b.c;tag=y", "A. B<sip:b.c>", "<tel:+1>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNameAddr(s)
		if err != nil {
			return
		}
		built := appendQuoted(nil, n.Display)
		built = append(append(append(built, " <"...), n.RawURI...), '>')
		again, err := ParseNameAddr(string(append(built, n.Params...)))
		if err != nil || again.URI != n.URI || again.RawURI != n.RawURI || again.Params != n.Params {
			t.Fatalf("%q: %+v\n%q: %+v %v", s, n, built, again, err)
		}
	})
}

// FuzzVia: what is accepted once is accepted when its parts are put together.
func FuzzVia(f *testing.F) {
	for _, s := range []string{
		"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx;rport", "SIP / 2.0 / tcp [::1] : 7 ;received=::1;x=\"a;b\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVia(s)
		if err != nil {
			return
		}
		again, err := ParseVia("SIP/2.0/" + v.Transport + " " + v.Host + v.Params)
		again.Port = v.Port
		if err != nil || again != v {
			t.Fatalf("%q: %+v\n%+v %v", s, v, again, err)
		}
	})
}
