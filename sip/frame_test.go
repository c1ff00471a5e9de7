package sip

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestFrame(t *testing.T) {
	t.Parallel()
	msg := with("Content-Length: 5") + "hello"
	for _, c := range []struct {
		name           string
		buf            string
		skip, n, pings int
		status         int
	}{
		{"nothing", "", 0, 0, 0, 0},
		{"half a line end", "\r", 0, 0, 0, 0},
		{"pong", "\r\n", 2, 0, 0, 0},
		{"ping", "\r\n\r\n", 4, 0, 1, 0},
		{"ping and a half", "\r\n\r\n\r\n\r", 6, 0, 1, 0},
		{"two pings and a message", "\r\n\r\n\r\n\r\n" + msg, 8, len(msg), 2, 0},
		{"message", msg, 0, len(msg), 0, 0},
		{"message and more", msg + "\r\nOPT", 0, len(msg), 0, 0},
		{"body missing", msg[:len(msg)-1], 0, 0, 0, 0},
		{"start only", "\r\nOPTIONS sip:a", 2, 0, 0, 0},
		{"compact", strings.Replace(msg, "Content-Length", "l \t", 1), 0, len(msg) - len("Content-Length") + 3, 0, 0},
		{"folded", strings.Replace(msg, "Length: ", "Length:\r\n \r\n\t", 1), 0, len(msg) + 5, 0, 0},
		{"no length", without("Content-Length"), 0, len(without("Content-Length")), 0, 400},
		{"two lengths", with("l: 0"), 0, len(with("l: 0")), 0, 400},
		{"negative", with("Content-Length: -1"), 0, len(with("Content-Length: -1")), 0, 400},
		{"list", with("Content-Length: 1,1"), 0, len(with("Content-Length: 1,1")), 0, 400},
		{"empty", with("Content-Length:"), 0, len(with("Content-Length:")), 0, 400},
		{"huge", with("Content-Length: 99999999999999999999"), 0, len(with("Content-Length: 99999999999999999999")), 0, 413},
		{"too large", with("Content-Length: 2000"), 0, len(with("Content-Length: 2000")), 0, 413},
		{"endless header", "OPTIONS sip:" + strings.Repeat("a", 1000), 0, 0, 0, 513},
		{"bare LF", "OPTIONS sip:a.b SIP/2.0\nVia: ", 0, 0, 0, 400},
		{"bare LF in a whole header", with("X: a\nb"), 0, len(with("X: a\nb")), 0, 400},
		{"LF first", "\nOPTIONS", 0, 0, 0, 400},
		{"length in the start line", "L: 5\r\n\r\n", 0, 8, 0, 400},
		{"other names", with("Content-Length: 0", "Lx: 7", "Content-Lengths: 7", "C: a/b"), 0, len(with("Content-Length: 0", "Lx: 7", "Content-Lengths: 7", "C: a/b")), 0, 0},
	} {
		lim := Limits{MaxMessage: 1500, MaxHeaders: 64, MaxHeader: 1000}
		skip, n, pings, err := Frame([]byte(c.buf), lim)
		status := 0
		if fault, ok := errors.AsType[*StatusError](err); ok {
			status = fault.Status
		}
		if skip != c.skip || n != c.n || pings != c.pings || status != c.status {
			t.Errorf("%s: skip %d, n %d, pings %d, %v; want %d %d %d %d", c.name, skip, n, pings, err, c.skip, c.n, c.pings, c.status)
		}
	}
}

// readStream frames chunks as a connection would and gives the messages, and
// whether the stream broke.
func readStream(chunks [][]byte, lim Limits) (messages []string, broken bool) {
	var buf []byte
	for _, chunk := range chunks {
		buf = append(buf, chunk...)
		for {
			skip, n, _, err := Frame(buf, lim)
			if err != nil {
				return messages, true
			}
			if n > 0 {
				messages = append(messages, string(buf[skip:skip+n]))
			}
			buf = buf[skip+n:]
			if n == 0 {
				break
			}
		}
	}
	return messages, false
}

// FuzzFrame: however a stream is cut into reads, the messages are the same.
func FuzzFrame(f *testing.F) {
	msg := with("Content-Length: 5") + "hello"
	for _, s := range []string{msg, msg + msg, "\r\n\r\n" + msg + "\r\n" + msg, with() + "\r\n\r\n", "\n", with("l: 1"), msg + "X\nY"} {
		f.Add([]byte(s), uint16(3))
		f.Add([]byte(s), uint16(40))
	}
	lim := Limits{MaxMessage: 2000, MaxHeaders: 64, MaxHeader: 1000}
	f.Fuzz(func(t *testing.T, stream []byte, size uint16) {
		whole, brokenWhole := readStream([][]byte{stream}, lim)
		cut, brokenCut := readStream(slices.Collect(slices.Chunk(stream, int(size)+1)), lim)
		if !slices.Equal(whole, cut) || brokenWhole != brokenCut {
			t.Fatalf("whole %q %v\ncut %q %v", whole, brokenWhole, cut, brokenCut)
		}
		for _, raw := range whole {
			var m Message
			if err := m.Parse(raw, lim); err == nil && m.Body != raw[len(raw)-len(m.Body):] {
				t.Fatalf("Frame and Parse disagree on the body of %q", raw)
			}
		}
	})
}
