package agent

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/notifier"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/shard"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/xcap"
	"github.com/tacit-presence/tacit/xcapdiff"
	"github.com/tacit-presence/tacit/xmltree"
)

// trees are XCAPTrees as package xcap has them.
type trees struct{ *xcap.Handler }

func (trees) Root() string                      { return "https://xcap.example.com/root/" }
func (trees) User(p presence.Presentity) string { return xcap.Escape(string(p)) }

func (h trees) Made(p presence.Presentity, docs []Document) (list []ReadableDocument) {
	var entries []xcap.Entry
	for _, d := range docs {
		key := xcap.Key{AUID: xcap.AUID(d.AUID), Tree: xcap.TreeUsers, Owner: p, Path: d.Path}
		entries = append(entries, xcap.Entry{Key: key, ETag: d.ETag, Size: len(d.Body), Modified: d.Modified})
	}
	for _, m := range h.Handler.Made(p, entries) {
		doc := Document{DocumentName: DocumentName{AUID: string(m.Key.AUID), Path: m.Key.Path}, ETag: m.ETag, Body: m.Body}
		list = append(list, ReadableDocument{doc, m.Key.Tree.Named()})
	}
	return list
}

type noDocuments struct{ xcap.Documents }

func newTrees(t *testing.T) trees {
	t.Helper()
	free := xcap.Test()
	free.AUID, free.Space = "tests", ""
	h, err := xcap.New(xcap.Config{
		Root: "https://xcap.example.com/root", Usages: append(xcap.Standard(), free), Documents: noDocuments{},
		Authenticate: func(*http.Request, string) (presence.Principal, []string, int) { return presence.Principal{}, nil, 403 },
		Presentity:   func(presence.AOR) (presence.Presentity, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	return trees{h}
}

// put changes or, with an empty body, removes a document of alice's.
func (r *rig) put(auid, path, body string) {
	r.t.Helper()
	n := DocumentName{AUID: auid, Path: path}
	old, there := r.Document(alice, n)
	if !there && body == "" {
		return
	}
	m, err := ReadMeaning(n, body)
	if err != nil && body != "" {
		r.t.Fatal(err)
	}
	r.do(func(out *shard.Batch) {
		if body == "" {
			err = r.RemoveDocument(alice, n, old.ETag, r.now, out)
		} else {
			_, err = r.ChangeDocument(alice, DocumentChange{n, old.ETag, body, m}, r.now, out)
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// listOf is a list of resources.
func listOf(uris ...string) string {
	var b strings.Builder
	b.WriteString(`<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list>`)
	for _, uri := range uris {
		b.WriteString(`<entry uri="` + xmltree.EscapeAttr(uri) + `"/>`)
	}
	return b.String() + `</list></resource-lists>`
}

// follow subscribes to resources.
func (r *rig) follow(user, params, list string) *sip.Message {
	r.t.Helper()
	return r.request("SUBSCRIBE", user, "Event: xcap-diff"+params+"\nContact: <sip:"+user+"@198.51.100.1>\nContent-Type: "+xcapdiff.ListType+"\n", list)
}

var conforms = schema.XCAPDiff()

// diffOf reads a NOTIFY.
func diffOf(t *testing.T, m *sip.Message) xcapdiff.Diff {
	t.Helper()
	doc, err := xmltree.Parse(m.Body, xmltree.Limits{})
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Body)
	}
	if err := conforms(doc); err != nil {
		t.Fatalf("%v\n%s", err, m.Body)
	}
	d, err := xcapdiff.Parse(m.Body)
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Body)
	}
	return d
}

// one expects one NOTIFY of the last step.
func (r *rig) one() xcapdiff.Diff {
	r.t.Helper()
	if len(r.notifies) != 1 {
		r.t.Fatalf("%d NOTIFYs", len(r.notifies))
	}
	return diffOf(r.t, r.notifies[0])
}

// Nobody is told of what is not his own, and who is not known is told nothing.
func TestDiffsAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Trees = newTrees(t) })
	r.put("resource-lists", "index", listOf())
	everything := listOf("", "resource-lists/users/sip:alice@example.com/index", "resource-lists/users/sip:alice@example.com/index/~~/resource-lists",
		"resource-lists/users/sip:bob@example.com/index")
	if got := r.follow("bob", "", everything); got.Status != 200 {
		t.Fatal(got.Status)
	}
	if d := r.one(); len(d.Items) != 0 || d.Root != "https://xcap.example.com/root/" {
		t.Error(d.Text())
	}
	if r.put("resource-lists", "index", listOf("x")); len(r.notifies) != 0 {
		t.Error(r.notifies[0].Body)
	}
	if got := r.by(presence.Principal{}, "xcap-diff"); got.Status != 403 {
		t.Error(got.Status)
	}
	r.follow("al", "", everything)         // an alias of alice's
	if d := r.one(); len(d.Items) != 2+2 { // with what the server makes for her
		t.Error(d.Text())
	}
}

// What the server makes is told as a GET gives it: at first all, then the directory
// at each change of a document, with what has changed in it for who wants patches;
// and never xcap-caps again. Who names nothing of it is told nothing (RFC 5875, 4.7).
func TestDiffsOfWhatTheServerMakes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"no-patching", "xcap-patching", "aggregate"} {
		r := newRig(t, func(c *Config) { c.Trees = newTrees(t) })
		r.put("resource-lists", "index", listOf())
		other := r.follow("alice", "", listOf("pidf-manipulation/", capsSel))
		r.reply(r.notifies[0], "200 OK")
		const part = directorySel + "/~~/xcap-directory/folder%5b@auid='resource-lists'%5d/entry/@etag"
		r.follow("alice", ";diff-processing="+mode, listOf(capsSel, directorySel, part))
		f := follower{mode: mode}
		for i, text := range []string{listOf(), listOf("x"), "", listOf("y")} {
			if i > 0 {
				r.put("resource-lists", "index", text)
			}
			for _, m := range r.notifies {
				if m.CallID == other.CallID {
					t.Errorf("%s: %s", mode, m.Body)
				}
			}
			m := r.notifies[0]
			d, docs := r.one(), r.readables()
			for _, item := range d.Items {
				switch known := i == 0 || mode != "no-patching"; item.Sel {
				case part:
					if now := docs["resource-lists/users/sip:alice@example.com/index"]; item.Gone != (text == "") || item.Text != string(now.ETag) {
						t.Errorf("%s: %+v", mode, item)
					}
				case directorySel:
					if (item.Was == "") != (i == 0) || item.Is != docs[directorySel].ETag || (len(item.Ops) > 0) != (i > 0 && known) {
						t.Errorf("%s: %+v", mode, item)
					}
				case capsSel:
					if i > 0 || item.Is != docs[capsSel].ETag {
						t.Errorf("%s: %+v", mode, item)
					}
				default:
					t.Errorf("%s: %+v", mode, item)
				}
			}
			if want := map[bool]int{true: 3, false: 2}[i == 0]; len(d.Items) != want {
				t.Errorf("%s: %s", mode, d.Text())
			}
			f.take(r, m, true)
			if c := f.Documents[directorySel]; c.ETag != docs[directorySel].ETag || same(t, c.Body) != same(t, docs[directorySel].Body) {
				t.Errorf("%s: %v\n%s", mode, c, docs[directorySel].Body)
			}
			r.reply(m, "200 OK")
		}
	}
}

// Who is no user has nothing of what the server makes, and is told when he becomes one.
func TestDiffsOfAUserToBe(t *testing.T) {
	t.Parallel()
	user := false
	r := newRig(t, func(c *Config) {
		c.Trees = newTrees(t)
		owner := c.Owner
		c.Owner = func(p presence.Presentity) []presence.AOR {
			if !user {
				return nil
			}
			return owner(p)
		}
		c.Settings.Conceals = func(presence.Presentity) bool { return true }
	})
	r.follow("alice", "", listOf("xcap-caps/", directorySel))
	if d := r.one(); len(d.Items) != 0 {
		t.Error(d.Text())
	}
	r.reply(r.notifies[0], "200 OK")
	r.do(func(out *shard.Batch) { r.Redecide(alice, r.now, out) })
	if len(r.notifies) != 0 {
		t.Errorf("%d NOTIFYs of nothing", len(r.notifies))
	}
	user = true
	r.do(func(out *shard.Batch) { r.Redecide(alice, r.now, out) })
	if d := r.one(); len(d.Items) != 2 {
		t.Error(d.Text())
	}
}

// A user who is no more has no documents.
func TestDiffsOfAUserWhoIsRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Trees = newTrees(t)
		c.Settings.Conceals = func(presence.Presentity) bool { return true }
	})
	r.put("resource-lists", "index", listOf())
	r.follow("alice", ";diff-processing=xcap-patching", listOf("resource-lists/"))
	r.do(func(out *shard.Batch) { r.RemovePresentity(alice, r.now, out) })
	if d := r.one(); len(d.Items) != 1 || d.Items[0].Is != "" {
		t.Error(d.Text())
	}
	r.do(func(out *shard.Batch) { r.RemoveWatcher(presence.AOR(alice), r.now, out) })
	if len(r.people) != 0 {
		t.Errorf("%d people are left", len(r.people))
	}
}

// What has to be discarded with its document is not kept for patches.
func TestDiffsKeepNoLocations(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Trees = newTrees(t) })
	located := `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" entity="pres:alice@example.com"><tuple id="a"><status>` +
		`<gp:geopriv><gp:location-info/><gp:usage-rules><gp:retention-expiry>` + r.now.Add(time.Minute).UTC().Format(time.RFC3339) +
		`</gp:retention-expiry></gp:usage-rules></gp:geopriv></status></tuple></presence>`
	plain := strings.Replace(located, located[strings.Index(located, "<gp:geopriv>"):strings.Index(located, "</status>")], "", 1)
	r.follow("alice", ";diff-processing=xcap-patching", listOf("pidf-manipulation/"))
	r.put("pidf-manipulation", "index", plain)
	r.put("pidf-manipulation", "index", located)
	if d := r.one(); len(d.Items) != 1 || d.Items[0].Ops != nil || d.Items[0].Is == "" {
		t.Error(d.Text())
	}
	r.now = r.now.Add(2 * time.Minute)
	r.do(func(out *shard.Batch) { r.Step(&shard.Event{Kind: shard.Tick}, r.now, out) })
	if d := r.one(); len(d.Items) != 1 || d.Items[0].Was == "" {
		t.Error(d.Text())
	}
	r.put("pidf-manipulation", "index", located)
	for _, st := range r.people[alice].steps.list {
		if strings.Contains(st.was.Body+st.is.Body, "retention-expiry") {
			t.Error("a location is kept")
		}
	}
}

// Whatever is large is bounded: a datagram has all there is, but without content.
func TestDiffsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Trees = newTrees(t) })
	const index = "resource-lists/users/sip:alice@example.com/index"
	large := `<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"><list name="` + strings.Repeat("n", 10<<10) + `"><display-name>` +
		strings.Repeat("x", 30<<10) + `</display-name></list></resource-lists>`
	for i := range 60 {
		r.put("resource-lists", fmt.Sprintf("d%d", i), listOf())
	}
	r.put("resource-lists", "index", large)
	uris := []string{"", index + "/~~/resource-lists/list", index + "/~~/*/list", index + "/~~/*/*", index + "/~~/*/list/@name", index + "/~~/*/*/@name"}
	if got := r.follow("alice", "", listOf(uris...)); got.Status != 200 {
		t.Fatal(got.Status)
	}
	d := r.one()
	elements, attributes := 0, 0
	for _, i := range d.Items {
		switch i.Kind {
		case xcapdiff.KindElement:
			elements++
		case xcapdiff.KindAttribute:
			attributes++
		}
	}
	if size := len(r.notifies[0].Body); size > 60<<10 || len(d.Items) != 61+2+3+1 || elements != 3 || attributes != 1 {
		t.Errorf("%d bytes, %d items, %d elements, %d attributes", size, len(d.Items), elements, attributes)
	}
}

// follower is a subscriber that believes what it is told.
type follower struct {
	mode   string
	callID string
	xcapdiff.Copies
	last    *sip.Message // not answered yet
	patches int
}

// take applies a NOTIFY and fetches what it does not say.
func (f *follower) take(r *rig, m *sip.Message, fetch bool) {
	r.t.Helper()
	d := diffOf(r.t, m)
	if (f.mode == "" || f.mode == "no-patching") && strings.Contains(m.Body, " sel=\"*") {
		r.t.Errorf("a patch for who wants none:\n%s", m.Body)
	}
	for _, i := range d.Items {
		if len(i.Ops) > 0 {
			f.patches++
		}
	}
	if err := f.Apply(d); err != nil {
		r.t.Fatalf("%s: %v\n%s", f.mode, err, m.Body)
	}
	docs := r.readables()
	for sel, c := range f.Documents {
		if now, there := docs[sel]; there && !c.Known && fetch {
			f.Fetched(sel, now.ETag, now.Body)
		}
	}
}

const (
	directorySel = "org.openmobilealliance.xcap-directory/users/sip:alice@example.com/directory.xml"
	capsSel      = "xcap-caps/global/index"
)

// readables are the documents that alice may read, by their URIs.
func (r *rig) readables() map[string]Document {
	docs := map[string]Document{}
	for _, d := range r.Documents(alice) {
		docs[d.AUID+"/users/sip:alice@example.com/"+d.Path] = d
	}
	for _, m := range r.cfg.Trees.Made(alice, r.Documents(alice)) {
		sel := map[xcapdiff.Tree]string{xcapdiff.UserTree: directorySel, xcapdiff.GlobalTree: capsSel}[m.Tree]
		docs[sel] = m.Document
	}
	return docs
}

// check compares what a follower has with what there is.
func (f *follower) check(r *rig, parts []string) {
	r.t.Helper()
	docs := r.readables()
	for sel, d := range docs {
		c, there := f.Documents[sel]
		if !there || c.ETag != d.ETag {
			r.t.Fatalf("%s: %s is %v, and was told as %v", f.mode, sel, d.ETag, c)
		}
		if c.Known && same(r.t, c.Body) != same(r.t, d.Body) {
			r.t.Fatalf("%s: %s is\n%s\nand was told as\n%s", f.mode, sel, d.Body, c.Body)
		}
	}
	if len(docs) != len(f.Documents) {
		r.t.Fatalf("%s: %d documents, told of %d", f.mode, len(docs), len(f.Documents))
	}
	for _, uri := range parts {
		want, is := "", false
		res, _ := r.cfg.Trees.Resolve(uri)
		if d, there := r.Document(alice, DocumentName{AUID: "tests", Path: res.Path}); there {
			doc, err := xmltree.Parse(d.Body, xmltree.Limits{})
			if err != nil {
				r.t.Fatal(err)
			}
			var item xcapdiff.Item
			item, is = res.Select(doc, 1<<20)
			want = item.Text
		}
		if got, told := f.Parts[uri]; told != is || told && got != want {
			r.t.Fatalf("%s: %s is %q, %t, told as %q, %t", f.mode, uri, want, is, got, told)
		}
	}
}

// same is a document without what an application may not care for: that is all
// that a patch promises.
func same(t *testing.T, text string) string {
	t.Helper()
	return strings.NewReplacer(`'`, `"`, "></a>", "/>", "></doc>", "/>").Replace(text)
}

// TestDiffsTellWhatThereIs: whoever applies all diffs in their order has the
// current entity-tags, and the documents, whatever changes, whatever is held back
// and whatever is not taken.
func TestDiffsTellWhatThereIs(t *testing.T) {
	t.Parallel()
	patches := map[string]int{}
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		r := newRig(t, func(c *Config) { c.Trees, c.Settings.MinInterval = newTrees(t), 5*time.Second })
		r.mute = true
		made := []string{directorySel, capsSel}
		parts := []string{"tests/users/sip:alice@example.com/one/~~/doc/a%5b1%5d", "tests/users/sip:alice@example.com/two/~~/doc/@x"}
		var all []*follower
		deliver := func() {
			for _, m := range r.notifies {
				for _, f := range all {
					if f.callID == m.CallID {
						f.last = m
					}
				}
			}
		}
		for _, mode := range []string{"", "no-patching", "xcap-patching", "aggregate"} {
			r.put("tests", "one", randomText(rnd))
			params := ""
			if mode != "" {
				params = ";x=y;diff-processing=" + mode
			}
			ok := r.follow("alice", params, listOf(slices.Concat(parts, made, []string{"tests/users/sip:alice@example.com/"})...))
			all = append(all, &follower{mode: mode, callID: ok.CallID})
			deliver()
		}
		answer := func(refuse bool) {
			for _, f := range all {
				if f.last == nil {
					continue
				}
				m := f.last
				f.last = nil
				if refuse && rnd.IntN(5) == 0 {
					if rnd.IntN(2) == 0 {
						f.take(r, m, rnd.IntN(2) == 0) // its answer is lost on the way
					}
					r.reply(m, "500 Busy\r\nRetry-After: 1")
					deliver()
					continue
				}
				f.take(r, m, rnd.IntN(3) > 0)
				r.reply(m, "200 OK")
				deliver()
			}
		}
		for range 60 {
			switch path := []string{"one", "two", "three"}[rnd.IntN(3)]; rnd.IntN(6) {
			case 0:
				r.put("tests", path, "")
			case 1:
				r.put("tests", path, randomText(rnd))
			default:
				old, _ := r.Document(alice, DocumentName{AUID: "tests", Path: path})
				r.put("tests", path, edited(rnd, old.Body))
			}
			deliver()
			if rnd.IntN(2) == 0 {
				answer(true)
				r.now = r.now.Add(time.Duration(rnd.IntN(4000)) * time.Millisecond)
				r.do(func(out *shard.Batch) { r.Step(&shard.Event{Kind: shard.Tick}, r.now, out) })
				deliver()
			}
			if rnd.IntN(10) == 0 {
				for range 4 {
					answer(false)
					r.now = r.now.Add(6 * time.Second)
					r.do(func(out *shard.Batch) { r.Step(&shard.Event{Kind: shard.Tick}, r.now, out) })
					deliver()
				}
				answer(false)
				for _, f := range all {
					f.check(r, parts)
				}
			}
		}
		for _, f := range all {
			patches[f.mode] += f.patches
		}
	}
	if patches["xcap-patching"] < 100 || patches["aggregate"] < 100 || patches[""]+patches["no-patching"] > 0 {
		t.Errorf("patches told: %v", patches)
	}
}

// reply answers a NOTIFY, and takes what comes of it.
func (r *rig) reply(m *sip.Message, status string) {
	r.t.Helper()
	tag, cseq, _ := notifier.ParseBranch(m.TopVia.Branch)
	answer := new(sip.Message)
	text := "SIP/2.0 " + status + "\r\n"
	for _, id := range []sip.HeaderID{sip.HeaderVia, sip.HeaderFrom, sip.HeaderTo, sip.HeaderCallID, sip.HeaderCSeq} {
		v, _ := m.Get(id)
		text += id.String() + ": " + v + "\r\n"
	}
	if err := answer.Parse(text+"Content-Length: 0\r\n\r\n", sip.DefaultLimits); err != nil {
		r.t.Fatal(err)
	}
	r.do(func(out *shard.Batch) {
		r.Step(&shard.Event{Kind: shard.Response, ID: r.cfg.ID, Msg: answer, Flow: r.flow, Dialog: tag, CSeq: cseq, Status: answer.Status}, r.now, out)
	})
}

func randomText(r *rand.Rand) string {
	b := fmt.Sprintf("<doc x=\"%d\">", r.IntN(5))
	for range r.IntN(5) {
		b += fmt.Sprintf("\n <a>%d</a>", r.IntN(5))
	}
	return b + "\n</doc>"
}

// edited adds, changes or removes one line.
func edited(r *rand.Rand, text string) string {
	if text == "" {
		return randomText(r)
	}
	lines := strings.Split(text, "\n")
	at := 1 + r.IntN(len(lines)-1)
	line := fmt.Sprintf(" <a>%d</a>", r.IntN(5))
	switch last := at == len(lines)-1; {
	case last || r.IntN(3) == 0:
		lines = append(lines[:at], append([]string{line}, lines[at:]...)...)
	case r.IntN(2) == 0:
		lines[at] = line
	default:
		lines = append(lines[:at], lines[at+1:]...)
	}
	return strings.Join(lines, "\n")
}
