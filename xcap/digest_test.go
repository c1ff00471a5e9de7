package xcap

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/identity"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// digestServer is a server over a real socket, with digest users.
func digestServer(t *testing.T, algorithms ...sip.Algorithm) string {
	t.Helper()
	st := store.NewMemory()
	dir, err := identity.OpenDirectory(st, []string{"example.com", "example.net"})
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.AddAll([]identity.NewUser{
		{Name: "alice", Password: "open sesame", AORs: []presence.AOR{"sip:alice@example.com", "sip:alice@example.net"}},
		{Name: "bob", Password: "bobs"},
	}); err != nil {
		t.Fatal(err)
	}
	a, err := identity.NewAuthenticator(identity.Config{Directory: dir, Algorithms: algorithms})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, func(c *Config) {
		c.Root, c.Authenticate, c.Presentity = "/xcap-root", Digest(a, time.Now), dir.Presentity
	})
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		srv.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv.URL
}

// call sends a request, with an answer to the server's challenge if there is a
// password: by digest code of its own, written from RFC 7616, 3.4.
func call(t *testing.T, method, base, target, contentType, body, user, password, qop string) *http.Response {
	t.Helper()
	send := func(authorization string) *http.Response {
		// The target goes as it is, as XCAP clients send it.
		r, err := http.NewRequest(method, base, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = target
		r.Header.Set("Content-Type", contentType)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	resp := send("")
	if user == "" {
		return resp
	}
	ch, err := sip.ParseChallenge(resp.Header.Get("WWW-Authenticate"))
	if resp.StatusCode != 401 || err != nil {
		t.Fatalf("%d %v: %v", resp.StatusCode, resp.Header, err)
	}
	h := func(parts ...string) string {
		text := []byte(strings.Join(parts, ":"))
		if ch.Algorithm == sip.AlgorithmMD5 {
			return fmt.Sprintf("%x", md5.Sum(text))
		}
		return fmt.Sprintf("%x", sha256.Sum256(text))
	}
	a2 := h(method, target)
	if qop == "auth-int" {
		a2 = h(method, target, h(body))
	}
	response := h(h(user, ch.Realm, password), ch.Nonce, "00000001", "c", qop, a2)
	return send(fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=%s, qop=%s, nc=00000001, cnonce="c", response="%s"`,
		user, ch.Realm, ch.Nonce, target, ch.Algorithm, qop, response))
}

func TestDigest(t *testing.T) {
	t.Parallel()
	const root = "/xcap-root" + lists
	const type_ = "application/resource-lists+xml"
	for _, alg := range []sip.Algorithm{sip.AlgorithmSHA256, sip.AlgorithmMD5} {
		base := digestServer(t, alg)
		for _, c := range []struct {
			method, target, body, user, password, qop string
			status                                    int
		}{
			{"PUT", root, friends, "alice", "open sesame", "auth", 201},
			{"PUT", root, empty, "alice", "open sesame", "auth-int", 200},
			{"PUT", root, friends, "alice", "open sesame", "auth-int", 200},
			{"GET", root + "/~~/resource-lists/list%5B@name=%22friends%22%5D?xmlns(a=urn:x)", "", "alice", "open sesame", "auth", 200},
			{"GET", "/xcap-root/resource-lists/users/sip:alice@example.net/index", "", "alice", "open sesame", "auth", 200},
			{"GET", root, "", "alice", "wrong", "auth", 401},
			{"GET", root, "", "bob", "bobs", "auth", 403},
			{"GET", "/xcap-root/resource-lists/users/sip:nobody@example.com/index", "", "bob", "bobs", "auth", 403},
			{"GET", "/xcap-root/xcap-caps/global/index", "", "bob", "bobs", "auth", 200},
			{"GET", "/xcap-root/xcap-caps/global/index", "", "anonymous", "", "auth", 401},
		} {
			resp := call(t, c.method, base, c.target, type_, c.body, c.user, c.password, c.qop)
			if resp.StatusCode != c.status {
				b, _ := io.ReadAll(resp.Body)
				t.Errorf("%s %s %s as %s, %s: %d, want %d: %s", alg, c.method, c.target, c.user, c.qop, resp.StatusCode, c.status, b)
			}
		}
	}
}

func TestChallengesTellNothing(t *testing.T) {
	t.Parallel()
	base := digestServer(t)
	want := ""
	for _, target := range []string{lists, strings.Replace(lists, "alice", "bob", 1), strings.Replace(lists, "alice", "nobody", 1), "/nothing/users/x/y"} {
		resp := call(t, "GET", base, "/xcap-root"+target, "", "", "", "", "")
		var sizes []int
		for _, c := range resp.Header["Www-Authenticate"] {
			sizes = append(sizes, len(c))
		}
		got := fmt.Sprint(resp.StatusCode, sizes, resp.ContentLength, len(resp.Header))
		if want == "" {
			want = got
		}
		if got != want || len(sizes) != 3 {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	resp := call(t, "GET", base, "/xcap-root/resource-lists/users/alice@EXAMPLE.net/index", "", "", "", "", "")
	if ch, err := sip.ParseChallenge(resp.Header.Get("WWW-Authenticate")); err != nil || ch.Realm != "example.net" {
		t.Errorf("realm %q is not the user's, %v", ch.Realm, err)
	}
}

func TestAuthIntOfTooMuch(t *testing.T) {
	t.Parallel()
	base := digestServer(t, sip.AlgorithmSHA256)
	resp := call(t, "PUT", base, "/xcap-root"+lists, "application/resource-lists+xml", long(DefaultMaxDocument+1), "alice", "open sesame", "auth-int")
	if resp.StatusCode != 413 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// TestCurl holds that curl can do what users do.
func TestCurl(t *testing.T) {
	t.Parallel()
	if os.Getenv("TACIT_PEERS") != "1" {
		t.Skip("NOT RUN: curl as a peer; set TACIT_PEERS=1 with curl installed")
	}
	for _, algorithms := range [][]sip.Algorithm{{sip.AlgorithmSHA256}, {sip.AlgorithmMD5}, nil} {
		base := digestServer(t, algorithms...)
		curl := func(arg ...string) string {
			t.Helper()
			arg = append([]string{"--silent", "--show-error", "--globoff", "--digest", "--user", "alice:open sesame", "--write-out", " %{http_code}"}, arg...)
			out, err := exec.Command("curl", arg...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return string(out)
		}
		url := base + "/xcap-root" + lists
		for _, c := range []struct {
			want string
			arg  []string
		}{
			{" 201", []string{"-X", "PUT", "-H", isLists, "--data-binary", friends, url}},
			{" 201", []string{"-X", "PUT", "-H", isEl, "--data-binary", `<entry uri="sip:joe@example.com"/>`, url + `/~~/resource-lists/list[@name=%22friends%22]/entry[@uri=%22sip:joe@example.com%22]`}},
			{`"sip:joe@example.com" 200`, []string{url + `/~~/resource-lists/list/entry[2]/@uri`}},
			{"a condition does not hold\n 412", []string{"-X", "PUT", "-H", isLists, "-H", "If-None-Match: *", "--data-binary", friends, url}},
			{" 403", []string{strings.Replace(url, "alice", "bob", 1)}},
			{" 200", []string{"-X", "DELETE", url}},
			{"no such XCAP resource\n 404", []string{url}},
		} {
			if got := curl(c.arg...); got != c.want {
				t.Errorf("%v: %q, want %q", c.arg, got, c.want)
			}
		}
	}
}
