package identity

import (
	"fmt"
	"testing"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

func assertedBy(t testing.TB, uri string) *sip.Message {
	t.Helper()
	return request(t, "PUBLISH", "sip:bob@example.com", "<sip:x@y.org>", "P-Asserted-Identity: <"+uri+">\r\n", "")
}

func BenchmarkAsserted(b *testing.B) {
	for name, uri := range map[string]string{"ours": string(bobAOR), "foreign": "sip:zoe@elsewhere.org"} {
		b.Run(name, func(b *testing.B) {
			a := newAuthenticator(b, nil)
			req := assertedBy(b, uri)
			b.ReportAllocs()
			for b.Loop() {
				if v := a.Identify(req, proxy, begin); !v.Principal.Known() {
					b.Fatalf("%+v", v)
				}
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	for _, alg := range DefaultAlgorithms() {
		b.Run(string(alg), func(b *testing.B) {
			a := newAuthenticator(b, nil)
			ch := challenged(b, a, alg, phone, begin)
			reqs := make([]*sip.Message, 1000)
			for i := range reqs {
				reqs[i] = subscribe(b, alice.answer(ch, uint32(i+1)))
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i == len(reqs) {
					i = 0
					a.used = newReplayTable(DefaultMaxNonces)
				}
				if v := a.Identify(reqs[i], phone, begin); !v.Principal.Known() {
					b.Fatalf("%+v", v)
				}
				i++
			}
		})
	}
}

func BenchmarkChallenge(b *testing.B) {
	a := newAuthenticator(b, nil)
	req := subscribe(b, "")
	b.ReportAllocs()
	for b.Loop() {
		a.Identify(req, phone, begin)
	}
}

func BenchmarkAddOneTo200000(b *testing.B) {
	st := store.NewMemory()
	d, err := OpenDirectory(st, []string{"example.com"})
	if err != nil {
		b.Fatal(err)
	}
	us := make([]NewUser, 200_000)
	for i := range us {
		us[i] = NewUser{Name: fmt.Sprint("user", i), Password: "p"}
	}
	if err := d.AddAll(us); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Put(NewUser{Name: "user7", Password: "q"}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAllocations holds what the hot paths may cost: a request behind a trusted
// address, and a right answer to a challenge.
func TestAllocations(t *testing.T) {
	a := newAuthenticator(t, nil)
	for uri, most := range map[string]float64{string(bobAOR): 0, "sip:zoe@elsewhere.org": 1} {
		req := assertedBy(t, uri)
		if n := testing.AllocsPerRun(100, func() { a.Identify(req, proxy, begin) }); n > most {
			t.Errorf("asserted %s: %v allocations, at most %v", uri, n, most)
		}
	}
	ch := challenged(t, a, sip.AlgorithmSHA256, phone, begin)
	var reqs []*sip.Message
	for nc := range uint32(102) {
		reqs = append(reqs, subscribe(t, alice.answer(ch, nc+1)))
	}
	n := testing.AllocsPerRun(100, func() {
		wantPrincipal(t, a.Identify(reqs[0], phone, begin), aliceAOR, presence.MechanismDigest)
		reqs = reqs[1:]
	})
	// 7 of them; the race detector makes sync.Pool forget now and then.
	if n > 10 {
		t.Errorf("digest: %v allocations, at most 10", n)
	}
}
