package notifier

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
)

func message(t testing.TB, text string) *sip.Message {
	t.Helper()
	m := new(sip.Message)
	if err := m.Parse(strings.ReplaceAll(text, "\n", "\r\n"), sip.DefaultLimits); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return m
}

// subscribeText makes a SUBSCRIBE; lines stand before Content-Length.
func subscribeText(lines string) string {
	return "SUBSCRIBE sip:alice@example.com SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\nMax-Forwards: 70\n" +
		"From: <sip:bob@example.com>;tag=f\nTo: <sip:alice@example.com>\nCall-ID: c\nCSeq: 7 SUBSCRIBE\n" +
		"Contact: <sip:bob@192.0.2.9>\nEvent: presence\n" + lines + "Content-Length: 0\n\n"
}

// TestTimers holds the heap to a list that is sorted each time.
func TestTimers(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	var heap timers
	subs := make([]*Subscription, 40)
	for i := range subs {
		subs[i] = new(Subscription)
	}
	want := map[*Subscription]int64{}
	for range 20_000 {
		s := subs[rnd.IntN(len(subs))]
		switch at := rnd.Int64N(1000) + 1; rnd.IntN(4) {
		case 0:
			heap.remove(s)
			delete(want, s)
		case 1:
			heap.set(s, 0)
			delete(want, s)
		default:
			heap.set(s, at)
			want[s] = at
		}
		earliest := int64(0)
		for _, at := range want {
			if earliest == 0 || at < earliest {
				earliest = at
			}
		}
		if heap.next() != earliest || len(heap.heap) != len(want) {
			t.Fatalf("the earliest is %d and not %d, of %d and not %d", heap.next(), earliest, len(heap.heap), len(want))
		}
		for i, s := range heap.heap {
			if s.timer.pos != i+1 || s.timer.at != want[s] {
				t.Fatal("a slot is not what the heap has")
			}
		}
	}
}

func TestTagAndBranch(t *testing.T) {
	t.Parallel()
	tag := Tag{0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255}
	text := tag.String()
	if text != "ab0102030405060708090aff" {
		t.Error(text)
	}
	if got, ok := ParseTag(text); !ok || got != tag {
		t.Errorf("read back as %v, %t", got, ok)
	}
	for _, bad := range []string{"", text[1:], text + "0", strings.ToUpper(text), "g" + text[1:], text[:23] + " "} {
		if _, ok := ParseTag(bad); ok {
			t.Errorf("%q is taken as a tag", bad)
		}
	}
	branch := branchPrefix + text + ".4294967295"
	if got, cseq, ok := ParseBranch(branch); !ok || got != tag || cseq != 4294967295 {
		t.Errorf("read back as %v, %d, %t", got, cseq, ok)
	}
	for _, bad := range []string{"", "z9hG4bK", branchPrefix + text, branchPrefix + text + ".", branchPrefix + text + ".x",
		branchPrefix + text + "-1", "Z9hG4bK" + text + ".1", branch + " "} {
		if _, _, ok := ParseBranch(bad); ok {
			t.Errorf("%q is taken as a branch", bad)
		}
	}
}

// FuzzParseBranch: what is read is what we would write, but for leading zeros.
func FuzzParseBranch(f *testing.F) {
	f.Add(branchPrefix + "ab0102030405060708090aff.7")
	f.Add(branchPrefix + "ab0102030405060708090aff.007")
	f.Add("z9hG4bK")
	f.Fuzz(func(t *testing.T, s string) {
		tag, cseq, ok := ParseBranch(s)
		if !ok {
			return
		}
		if again, n, ok := ParseBranch(branchPrefix + tag.String() + "." + Seconds(time.Duration(cseq)*time.Second)); !ok || again != tag || n != cseq {
			t.Errorf("%q is %v and %d, and again %v and %d", s, tag, cseq, again, n)
		}
		if !strings.HasPrefix(s, branchPrefix+tag.String()+".") {
			t.Errorf("%q is read as %v", s, tag)
		}
	})
}

// FuzzParseTag: only our own spelling is read.
func FuzzParseTag(f *testing.F) {
	f.Add("ab0102030405060708090aff")
	f.Add("AB0102030405060708090aff")
	f.Fuzz(func(t *testing.T, s string) {
		if tag, ok := ParseTag(s); ok && tag.String() != s {
			t.Errorf("%q is read as %s", s, tag)
		}
	})
}

func TestAcceptable(t *testing.T) {
	t.Parallel()
	types := []string{"application/pidf+xml", "application/pidf-diff+xml"}
	for accept, want := range map[string]bool{
		"":                                    true,
		"Accept: application/pidf+xml\n":      true,
		"Accept: application/pidf-diff+xml\n": true,
		"Accept: APPLICATION/pidf+XML\n":      true,
		"Accept: text/plain, application/*\n": true,
		"Accept: */*;q=0.1\n":                 true,
		"Accept:\n":                           true, // an empty one lists nothing
		"Accept: text/plain\nAccept: application/pidf+xml;q=0.5\n": true,
		"Accept: text/plain\n":                    false,
		"Accept: application/xpidf+xml, text/*\n": false,
		"Accept: application/pidf+xml;q=0\n":      false,
		"Accept: application/pidf+xml;q=0.000\n":  false,
	} {
		i, no := format(message(t, subscribeText(accept)), types)
		if (no == nil) != want || (i == 1) != (accept == "Accept: application/pidf-diff+xml\n") {
			t.Errorf("%q: %d, %v", accept, i, no)
		}
		if no != nil && (no.status != 406 || no.headers[0].Value != strings.Join(types, ", ")) {
			t.Errorf("%q: %+v", accept, no)
		}
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	base := subscribeText("Expires: 60\n")
	print := Fingerprint(message(t, base))
	// It is stored: another value would make repetitions unknown after an update.
	if want := uint64(0xc5a55c6d72faa7b1); print != want {
		t.Errorf("the fingerprint is %#x, not %#x", print, want)
	}
	for _, change := range [][2]string{
		{"Call-ID: c", "Call-ID: d"}, {"tag=f", "tag=g"}, {"CSeq: 7", "CSeq: 8"}, {"Expires: 60", "Expires: 61"},
		{"Expires: 60\n", "Expires: 60\nSIP-If-Match: x\n"}, {"Content-Length: 0\n\n", "Content-Length: 1\n\nx"},
	} {
		if Fingerprint(message(t, strings.Replace(base, change[0], change[1], 1))) == print {
			t.Errorf("%q makes no difference", change[1])
		}
	}
	for _, same := range [][2]string{
		{"branch=z9hG4bKx", "branch=z9hG4bKy"}, {"Expires: 60\n", "Expires: 60\nAuthorization: Digest x\n"}, {"Max-Forwards: 70", "Max-Forwards: 69"},
	} {
		if Fingerprint(message(t, strings.Replace(base, same[0], same[1], 1))) != print {
			t.Errorf("%q makes a difference", same[1])
		}
	}
}

func TestRepetition(t *testing.T) {
	t.Parallel()
	first := Fingerprint(message(t, subscribeText("")))
	later := func(seq string, lines string) *sip.Message {
		return message(t, strings.Replace(subscribeText(lines), "CSeq: 7", "CSeq: "+seq, 1))
	}
	const credentials = "Authorization: Digest username=\"bob\"\n"
	for seq, want := range map[string]bool{"6": false, "7": false, "8": true, "9": true, "10": true, "11": false, "0": false, "1": false} {
		if got := RepetitionOf(later(seq, credentials)).Of(first); got != want {
			t.Errorf("with CSeq %s: %t", seq, got)
		}
	}
	if RepetitionOf(later("8", "")).Of(first) {
		t.Error("a request without credentials is another one")
	}
	if RepetitionOf(later("8", credentials+"Expires: 0\n")).Of(first) {
		t.Error("an unsubscription repeats a subscription")
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0", 1: "1", time.Second: "1", time.Second + 1: "2", time.Minute: "60", time.Hour: "3600",
		time.Hour + time.Minute: "3660", 59*time.Second + 1: "60", 4294967295 * time.Second: "4294967295",
	} {
		if got := Seconds(d); got != want {
			t.Errorf("%v is %s, not %s", d, got, want)
		}
	}
}

func TestHopFlow(t *testing.T) {
	t.Parallel()
	from := sip.Flow{Transport: sip.TransportUDP}
	for uri, want := range map[string]string{
		"sip:192.0.2.7":                         "UDP 192.0.2.7:5060",
		"sip:bob@192.0.2.7:5070":                "UDP 192.0.2.7:5070",
		"sip:192.0.2.7;transport=TCP":           "TCP 192.0.2.7:5060",
		"sip:192.0.2.7;transport=tls":           "TLS 192.0.2.7:5061",
		"sips:192.0.2.7":                        "TLS 192.0.2.7:5061",
		"sip:[2001:db8::1]:5070;transport=udp":  "UDP [2001:db8::1]:5070",
		"sip:pc.example.com":                    "", // names are not looked up
		"sip:192.0.2.7;transport=carrierpigeon": "",
	} {
		u, err := sip.ParseURI(uri)
		if err != nil {
			t.Fatal(err)
		}
		transport, _ := u.Param("transport")
		f, ok := hopFlow(u, transport, from)
		got := ""
		if ok {
			got = f.Transport.String() + " " + f.Remote.String()
		}
		if got != want {
			t.Errorf("%s: %q, not %q", uri, got, want)
		}
	}
	u, _ := sip.ParseURI("sip:192.0.2.7")
	if f, _ := hopFlow(u, "", sip.Flow{Transport: sip.TransportTCP}); f.Transport != sip.TransportTCP {
		t.Errorf("what came by TCP and names no transport is answered by %v", f.Transport)
	}
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	var w Waiting
	if w.Any() || w.Take("sip:bob@example.com") != nil {
		t.Error("somebody waits")
	}
	for _, id := range []shard.ID{255, 0, 64, 0} {
		w.Add("sip:bob@example.com", id)
	}
	w.Add("sip:carol@example.com", 3)
	if !w.Any() {
		t.Error("nobody waits")
	}
	if got := w.Take("sip:bob@example.com"); !slices.Equal(got, []shard.ID{0, 64, 255}) {
		t.Errorf("%v", got)
	}
	if got := w.Take("sip:bob@example.com"); got != nil {
		t.Errorf("once more %v", got)
	}
	if got := w.Take("sip:carol@example.com"); !slices.Equal(got, []shard.ID{3}) || w.Any() {
		t.Errorf("%v", got)
	}
}

func TestEntity(t *testing.T) {
	t.Parallel()
	r := &Resource{Presentity: presence.Presentity("sip:alice@example.com")}
	for uri, want := range map[string]string{
		"sip:alice@example.com":                            "sip:alice@example.com",
		"sip:alice@EXAMPLE.com:5060;transport=tcp;x=\"":    "sip:alice@EXAMPLE.com:5060;transport=tcp;x=\"", // unreadable: as it is
		"sips:alice:secret@example.com:5061;transport=tcp": "sips:alice@example.com:5061",
		"pres:alice@example.com?a=b":                       "pres:alice@example.com",
	} {
		if got := r.entity(uri); got != want {
			t.Errorf("%s: %s, not %s", uri, got, want)
		}
	}
}

// RFC 3261, 12.1.1: what was asked for, the top Record-Route or, without one, the
// Contact decides.
func TestSecureContact(t *testing.T) {
	t.Parallel()
	const from = "From: <sip:alice@example.com>;tag=t\r\n"
	for name, c := range map[string]struct {
		s    Subscription
		want bool
	}{
		"nothing":      {Subscription{Entity: "sip:a@example.com", target: "sip:bob@192.0.2.9", fixed: from}, false},
		"asked for":    {Subscription{Entity: "SIPS:a@example.com", target: "sip:bob@192.0.2.9", fixed: from}, true},
		"Contact":      {Subscription{Entity: "sip:a@example.com", target: "sips:bob@192.0.2.9", fixed: from}, true},
		"Record-Route": {Subscription{Entity: "sip:a@example.com", target: "sip:bob@192.0.2.9", fixed: "Route: \"P\" <sips:p.example.com;lr>\r\n" + from}, true},
		"Contact behind Record-Route": {Subscription{
			Entity: "sip:a@example.com", target: "sips:bob@192.0.2.9", fixed: "Route: <sip:p.example.com;lr>\r\n" + from,
		}, false},
		"strict router": {Subscription{
			Entity: "sip:a@example.com", target: "sips:p.example.com", strict: true, fixed: "Route: <sip:bob@192.0.2.9>\r\n" + from,
		}, true},
	} {
		if got := c.s.sips(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
