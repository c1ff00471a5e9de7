package load

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/sip"
)

func TestHistogram(t *testing.T) {
	t.Parallel()
	var h, half histogram
	var all []time.Duration
	for i := range 10000 {
		d := time.Duration(rand.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			h.add(d)
		} else {
			half.add(d)
		}
	}
	h.merge(&half)
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.999, 1} {
		want := all[min(len(all)-1, int(q*float64(len(all))))]
		got := h.quantile(q)
		if d := got - want; d < -time.Microsecond || d > want/64+time.Microsecond {
			t.Errorf("quantile %v is %s, want %s", q, got, want)
		}
	}
	var empty histogram
	if empty.quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	empty.add(1000 * time.Hour)
	empty.add(-time.Second)
	if empty.quantile(0.99) != 1000*time.Hour {
		t.Errorf("got %s", empty.quantile(0.99))
	}
}

func FuzzBucket(f *testing.F) {
	f.Add(uint64(127))
	f.Add(uint64(128))
	f.Add(uint64(1) << 37)
	f.Fuzz(func(t *testing.T, v uint64) {
		v >>= 27 // within range
		i := bucket(v)
		if up := upper(i); up < v || up-v > v/64 || i > 0 && upper(i-1) >= v {
			t.Errorf("%d is in bucket %d, up to %d", v, i, up)
		}
	})
}

func TestDocument(t *testing.T) {
	t.Parallel()
	doc := document(nil, "r1", "sip:a@b", 1024, 7, 99)
	if len(doc) != 1024 {
		t.Errorf("%d bytes", len(doc))
	}
	if n := len(document(nil, "r1", "sip:a@b", 1, 7, 99)); n < 100 || n > 700 {
		t.Errorf("the smallest has %d bytes", n)
	}
	marker := []byte("run=r1")
	if seq, at, ok := sequence(doc, marker); !ok || seq != 7 || at != 99 {
		t.Errorf("got %d %d %v", seq, at, ok)
	}
	two := append(doc, document(nil, "r1", "sip:a@b", 1024, 5, 98)...)
	two = append(two, document(nil, "r2", "sip:a@b", 1024, 9, 98)...)
	if seq, at, ok := sequence(two, marker); !ok || seq != 7 || at != 99 {
		t.Errorf("got %d %d %v", seq, at, ok)
	}
	if _, _, ok := sequence([]byte("run=r1 seq="), marker); ok {
		t.Error("found a sequence where there is none")
	}
}

// TestRichDocument holds that the number is in the service and in the person, and
// that each text is there once.
func TestRichDocument(t *testing.T) {
	t.Parallel()
	c := Config{Rich: true, BodySize: 2000}
	doc := string(c.document(nil, "r1", "sip:a@b", 7, 99))
	if _, err := pidf.Parse(doc); err != nil || len(doc) != 2000 {
		t.Fatalf("%v, %d bytes: %s", err, len(doc), doc)
	}
	for _, text := range []string{RichCity, RichStreet, RichNote, RichPhone, RichActivity, RichMood, ">" + RichClass + "<"} {
		if strings.Count(doc, text) != 1 {
			t.Errorf("%q is there %d times", text, strings.Count(doc, text))
		}
	}
	marker := []byte("run=r1")
	service, person, _ := strings.Cut(doc, "</tuple>")
	for _, part := range []string{service, person} {
		if seq, at, ok := sequence([]byte(part), marker); !ok || seq != 7 || at != 99 {
			t.Errorf("got %d %d %v of %s", seq, at, ok, part)
		}
	}
	if c.BodySize = 1; len(c.document(nil, "r1", "sip:a@b", 7, 99)) > 1100 {
		t.Errorf("the smallest has %d bytes", len(c.document(nil, "r1", "sip:a@b", 7, 99)))
	}
}

// FuzzScan checks the scanner against the strict parser: what that accepts is
// scanned to the same values, and the answer to it is a good one.
func FuzzScan(f *testing.F) {
	f.Add("NOTIFY sip:w@h SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bKx, SIP/2.0/TCP i\r\nv: SIP/2.0/UDP j\r\n" +
		"f: <sip:a@b>;tag=1\r\nt: <sip:c@d>\r\n ;tag=2\r\nCall-ID : x-w12\r\nCSeq: 3 NOTIFY\r\nl: 2\r\n\r\nhi")
	f.Add("SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h\r\nFrom: sip:a@b\r\nTo: sip:c@d\r\nCall-ID: x\r\nCSeq: 9 PUBLISH\r\n" +
		"WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nContent-Length: 0\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		var s scanned
		ok := s.scan([]byte(raw))
		var m sip.Message
		vias := 0
		if m.Parse(raw, sip.DefaultLimits) != nil || raw[0] == '\r' {
			return // the scanner may be more tolerant, but not crash
		}
		for i := range m.Headers {
			if m.Headers[i].ID == sip.HeaderVia {
				vias++
			}
		}
		if vias > maxVias {
			return
		}
		if !ok {
			t.Fatal("not scanned")
		}
		if s.status != m.Status || s.notify != (m.Method == sip.MethodNotify) || s.number != m.CSeq.Seq {
			t.Errorf("got %d %v %d", s.status, s.notify, s.number)
		}
		if m.Method != sip.MethodNotify {
			return
		}
		var answer sip.Message
		out := s.appendOK(nil, "=5060;received=127.0.0.1")
		if err := answer.Parse(string(out), sip.DefaultLimits); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		if answer.CallID != m.CallID || answer.CSeq != m.CSeq || answer.From.Tag() != m.From.Tag() ||
			answer.To.Tag() != m.To.Tag() || answer.TopVia.Branch != m.TopVia.Branch {
			t.Errorf("answer %q", out)
		}
	})
}

func TestReadProcesses(t *testing.T) {
	t.Parallel()
	// A shell that burns time in a child, which it waits for, and then waits.
	cmd := exec.Command("sh", "-c", "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; echo done; read line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	buf := make([]byte, 4)
	if _, err := out.Read(buf); err != nil || !bytes.Equal(buf, []byte("done")) {
		t.Fatalf("%q %v", buf, err)
	}
	if cpu, err := ReadCPU(cmd.Process.Pid); err != nil || cpu < 20*time.Millisecond {
		t.Errorf("CPU %s, %v", cpu, err)
	}
	one, err := ReadRSS(cmd.Process.Pid)
	if err != nil || one == 0 {
		t.Errorf("RSS %d, %v", one, err)
	}
	if glance, err := glanceRSS(cmd.Process.Pid); err != nil || glance == 0 {
		t.Errorf("RSS %d, %v", glance, err)
	}
	// This process and its children, the shell among them.
	all, err := ReadRSS(os.Getpid(), cmd.Process.Pid)
	if err != nil || all < one {
		t.Errorf("RSS %d, %v", all, err)
	}
}

// BenchmarkNotify is what one NOTIFY costs the generator without the kernel.
func BenchmarkNotify(b *testing.B) {
	r := &run{cfg: Config{Server: "h"}, id: "r1", began: time.Now()}
	if err := r.cfg.complete(); err != nil {
		b.Fatal(err)
	}
	w := newWatcher(r, &link{local: "127.0.0.1:1", rport: "=5060;received=127.0.0.1"}, 0, 1)
	r.from.Store(1)
	head := "NOTIFY sip:load@127.0.0.1:1;transport=udp SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bKabcdef\r\n" +
		"Max-Forwards: 70\r\nFrom: <sip:user7@example.com>;tag=abc\r\nTo: <sip:watcher0@example.com>;tag=w70\r\n" +
		"Call-ID: r1-w70\r\nCSeq: 1 NOTIFY\r\nContact: <sip:127.0.0.1:5060>\r\nEvent: presence\r\n" +
		"Subscription-State: active;expires=3599\r\nContent-Type: application/pidf+xml\r\nContent-Length: 1024\r\n\r\n"
	raw := document([]byte(head), "r1", "sip:user7@example.com", 1024, 1, 99)
	var out outbox
	b.ReportAllocs()
	for b.Loop() {
		w.all[70].heard, w.all[70].last = false, 0
		w.receive(raw, &out)
		out.buf, out.ends = out.buf[:0], out.ends[:0]
	}
}
