package sip

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The examples of RFC 7616, 3.9.1, RFC 2617, 3.5, RFC 2069, 2.4, and RFC 7616,
// 3.9.2. The last two are with the right responses: what RFC 2069 prints does
// not follow from its own formula, and RFC 7616 cut SHA-512 to 256 bits where
// SHA-512/256 has initial values of its own.
func TestDigestVectors(t *testing.T) {
	t.Parallel()
	const (
		nonce  = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
		cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	)
	for _, c := range []struct {
		name, user, realm, password string
		c                           Credentials
		method                      Method
		want                        string
	}{
		{"RFC 7616 MD5", "Mufasa", "http-auth@example.org", "Circle of Life",
			Credentials{Algorithm: AlgorithmMD5, Nonce: nonce, NC: 1, CNonce: cnonce, QOP: "auth", URI: "/dir/index.html"},
			"GET", "8ca523f5e9506fed4657c9700eebdbec"},
		{"RFC 7616 SHA-256", "Mufasa", "http-auth@example.org", "Circle of Life",
			Credentials{Algorithm: AlgorithmSHA256, Nonce: nonce, NC: 1, CNonce: cnonce, QOP: "auth", URI: "/dir/index.html"},
			"GET", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{"RFC 2617", "Mufasa", "testrealm@host.com", "Circle Of Life",
			Credentials{Nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", NCText: "00000001", CNonce: "0a4f113b", QOP: "auth", URI: "/dir/index.html"},
			"GET", "6629fae49393a05397450978507c4ef1"},
		{"RFC 2069", "Mufasa", "testrealm@host.com", "CircleOfLife",
			Credentials{Nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", URI: "/dir/index.html"},
			"GET", "1949323746fe6a43ef61f9606e7febea"},
		{"RFC 7616 SHA-512-256", "J\u00e4s\u00f8n Doe", "api@example.org", "Secret, or not?",
			Credentials{Algorithm: AlgorithmSHA512256, Nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", NC: 1,
				CNonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v", QOP: "auth", URI: "/doe.json"},
			"GET", "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"},
	} {
		ha1, err := HA1(c.c.Algorithm, c.user, c.realm, c.password)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DigestResponse(ha1, c.c, c.method, ""); err != nil || got != c.want {
			t.Errorf("%s: %s %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestDigestForms(t *testing.T) {
	t.Parallel()
	ha1, err := HA1(AlgorithmSHA512256, "u", "r", "p")
	if err != nil || len(ha1) != 64 {
		t.Fatal(ha1, err)
	}
	seen := map[string]bool{}
	for _, c := range []Credentials{
		{Algorithm: AlgorithmSHA512256, Nonce: "n", URI: "sip:a"},
		{Algorithm: AlgorithmSHA512256, Nonce: "n", URI: "sip:a", QOP: "auth", NC: 1},
		{Algorithm: AlgorithmSHA512256, Nonce: "n", URI: "sip:a", QOP: "auth", NC: 0x1f},
		{Algorithm: AlgorithmSHA512256, Nonce: "n", URI: "sip:a", QOP: "auth-int", NC: 1},
	} {
		r, err := DigestResponse(ha1, c, MethodPublish, "body")
		if err != nil || len(r) != 64 || seen[r] {
			t.Errorf("%+v: %s %v", c, r, err)
		}
		seen[r] = true
	}
	c := Credentials{Algorithm: AlgorithmSHA256, QOP: "auth-int"}
	one, _ := DigestResponse(ha1, c, MethodPublish, "1")
	if two, _ := DigestResponse(ha1, c, MethodPublish, "2"); one == two {
		t.Error("auth-int does not cover the body")
	}
	if _, err := HA1("MD5-sess", "u", "r", "p"); !errors.Is(err, ErrAlgorithm) {
		t.Error(err)
	}
	if _, err := DigestResponse(ha1, Credentials{Algorithm: "x"}, "A", ""); !errors.Is(err, ErrAlgorithm) {
		t.Error(err)
	}
	if _, err := DigestResponse(ha1, Credentials{QOP: "x"}, "A", ""); !errors.Is(err, ErrQOP) {
		t.Error(err)
	}
}

func TestParseCredentials(t *testing.T) {
	t.Parallel()
	const minimal = `Digest username="a", realm="r", nonce="n", uri="sip:x", response="00ff"`
	for s, want := range map[string]Credentials{
		minimal: {Username: "a", Realm: "r", Nonce: "n", URI: "sip:x", Response: "00ff", Algorithm: AlgorithmMD5},
		minimal + `, algorithm=sha-256, cnonce="c", qop=AUTH, nc=0000000a, opaque="o"`: {
			Username: "a", Realm: "r", Nonce: "n", URI: "sip:x", Response: "00ff", Algorithm: AlgorithmSHA256,
			CNonce: "c", QOP: "auth", NC: 10, NCText: "0000000a", Opaque: "o"},
		// RFC 8760, 2.7: not challenged yet.
		strings.Replace(minimal, "00ff", "", 1): {Username: "a", Realm: "r", Nonce: "n", URI: "sip:x", Algorithm: AlgorithmMD5},
		// Before the first challenge (RFC 8760, 2.7).
		`Digest username="a", realm="r", nonce="", uri="sip:x", response=""`: {Username: "a", Realm: "r", URI: "sip:x", Algorithm: AlgorithmMD5},
		// finch: nc quoted and without qop.
		minimal + `, nc="00000001"`: {Username: "a", Realm: "r", Nonce: "n", URI: "sip:x", Response: "00ff", Algorithm: AlgorithmMD5, NC: 1, NCText: "00000001"},
		minimal + `, algorithm="MD5", qop="auth", cnonce="", nc=00000001`: {
			Username: "a", Realm: "r", Nonce: "n", URI: "sip:x", Response: "00ff", Algorithm: AlgorithmMD5, QOP: "auth", NC: 1, NCText: "00000001"},
		`digest  username = "a\"\\b" ,realm="r",nonce="n",uri="sip:x",response="00FF",algorithm=MD5-sess,foo=bar,baz="q,r"`: {
			Username: `a"\b`, Realm: "r", Nonce: "n", URI: "sip:x", Response: "00FF", Algorithm: "MD5-sess"},
	} {
		c, err := ParseCredentials(s)
		if err != nil || c != want {
			t.Errorf("%s:\n%+v %v\nwant\n%+v", s, c, err, want)
			continue
		}
		if again, err := ParseCredentials(string(c.Append(nil))); err != nil || again != c {
			t.Errorf("%s: round trip %s: %v", s, c.Append(nil), err)
		}
	}
	for _, s := range []string{
		"", "Digest", "Digest ", "Digest,", "Digest a", "Digest a=", "Digest a=b,", "Digest a=b c=d", `Digest username="a"`,
		minimal + ",", minimal + ", ", minimal + `, realm="r"`, minimal + `, REALM="q"`, minimal + ", foo=1, Foo=1",
		strings.Replace(minimal, `"a"`, "a", 1), strings.Replace(minimal, `"00ff"`, "00ff", 1), strings.Replace(minimal, `00ff`, "xyz", 1),
		minimal + ", qop=auth", minimal + `, qop=auth, nc=00000001`, minimal + `, qop=auth, cnonce="c"`,
		minimal + `, qop=auth, cnonce="c", nc=1`, minimal + `, nc=0000000g`, minimal + `, qop="", cnonce="c", nc=00000001`,
		minimal + "x", minimal + `, foo="`, minimal + strings.Repeat(", a=b", 2), minimal + `, qop=auth;cnonce="c"`,
	} {
		if c, err := ParseCredentials(s); err == nil {
			t.Errorf("%q accepted: %+v", s, c)
		}
	}
	for _, s := range []string{"NoOneKnowsThisScheme opaque-data=here", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Bearer x"} {
		if _, err := ParseCredentials(s); !errors.Is(err, ErrNotDigest) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestParseChallenge(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Challenge{
		`Digest realm="r", nonce="n"`: {Realm: "r", Nonce: "n", Algorithm: AlgorithmMD5},
		`Digest realm="r", nonce="n", qop="auth, auth-int", algorithm=SHA-512-256, opaque="o", stale=TRUE, domain="sip:a"`: {
			Realm: "r", Nonce: "n", Algorithm: AlgorithmSHA512256, QOP: []string{"auth", "auth-int"}, Opaque: "o", Stale: true},
		`Digest realm="r", nonce="n", qop=auth, stale="false"`: {Realm: "r", Nonce: "n", Algorithm: AlgorithmMD5, QOP: []string{"auth"}},
	} {
		c, err := ParseChallenge(s)
		if err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("%s: %+v %v", s, c, err)
			continue
		}
		if again, err := ParseChallenge(string(c.Append(nil))); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%s: round trip %s: %v", s, c.Append(nil), err)
		}
	}
	for _, s := range []string{`Digest realm="r"`, `Digest nonce="n"`, `Digest realm=r, nonce="n"`, `Digest realm="r", nonce="n", nonce="m"`} {
		if _, err := ParseChallenge(s); err == nil {
			t.Errorf("%s accepted", s)
		}
	}
	got := string(Challenge{Realm: "example.com", Nonce: "n", Algorithm: AlgorithmSHA256, QOP: []string{"auth", "auth-int"}, Stale: true}.Append(nil))
	if want := `Digest realm="example.com", nonce="n", algorithm=SHA-256, qop="auth,auth-int", stale=true`; got != want {
		t.Errorf("got %s", got)
	}
}

func FuzzCredentials(f *testing.F) {
	f.Add(`Digest username="a", realm="r", nonce="n", uri="sip:x", response="00ff", qop=auth, cnonce="c", nc=00000001`)
	f.Add(`Digest username="a\"b", realm="r", nonce="n", uri="sip:x", response="00ff", nc="00000001", algorithm="x y"`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCredentials(s)
		if err != nil {
			return
		}
		again, err := ParseCredentials(string(c.Append(nil)))
		if err != nil || again != clean(c) {
			t.Fatalf("%q: %+v\n%s: %+v %v", s, c, c.Append(nil), again, err)
		}
	})
}

// clean gives c as Append writes it: control characters are spaces there.
func clean(c Credentials) Credentials {
	for _, s := range []*string{&c.Username, &c.Realm, &c.Nonce, &c.URI, &c.Opaque, &c.CNonce, &c.QOP, (*string)(&c.Algorithm)} {
		*s = unquote(string(appendQuoted(nil, *s)))
	}
	return c
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Digest realm="r", nonce="n", qop="auth, auth-int", algorithm=SHA-512-256, opaque="o", stale=TRUE`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseChallenge(s)
		if err != nil {
			return
		}
		again, err := ParseChallenge(string(c.Append(nil)))
		if err != nil || again.Stale != c.Stale || !slices.Equal(again.QOP, c.QOP) && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			t.Fatalf("%q: %+v\n%s: %+v %v", s, c, c.Append(nil), again, err)
		}
	})
}
