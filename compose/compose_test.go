package compose

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/xmltree"
)

const alice = "sip:alice@example.com"

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func doc(t testing.TB, body string) *pidf.Document {
	t.Helper()
	d, err := pidf.Parse(body)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return d
}

func load(t testing.TB, name string) *pidf.Document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "pidf", "testdata", name+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	return doc(t, string(text))
}

const head = `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"` +
	` xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:a@example.com">`

func published(t testing.TB, serial uint64, inner string) Publication {
	t.Helper()
	return Publication{Serial: serial, Modified: start.Add(time.Duration(serial) * time.Second), Order: serial, Doc: doc(t, head+inner+"</presence>")}
}

// whole puts a composed document together as a later stage will.
func whole(r Raw) string {
	var b strings.Builder
	b.WriteString(`<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:alice@example.com"` + r.Declarations() + ">")
	for _, p := range r.Parts() {
		b.WriteString(p.Text)
	}
	b.WriteString("</presence>")
	return b.String()
}

// again reads a composed document without any tolerance.
func again(t testing.TB, r Raw) *pidf.Document {
	t.Helper()
	d, err := pidf.Tolerances{}.Parse(whole(r))
	if err != nil {
		t.Fatalf("%v\n%s", err, whole(r))
	}
	if d.Text() != d.Body() {
		t.Fatalf("not regular:\n%s", whole(r))
	}
	return d
}

func texts(r Raw) []string {
	var list []string
	for _, p := range r.Parts() {
		list = append(list, p.Text)
	}
	return list
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func tuple(id, basic string) string {
	if basic != "" {
		basic = "<basic>" + basic + "</basic>"
	}
	return `<tuple id="` + id + `"><status>` + basic + `</status></tuple>`
}

func device(id, deviceID, more string) string {
	return `<dm:device id="` + id + `">` + more + `<dm:deviceID>` + deviceID + `</dm:deviceID></dm:device>`
}

func TestNamed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"union", "newest"} {
		if p, ok := Named(name); !ok || p.Name() != name {
			t.Error(name)
		}
	}
	if _, ok := Named("median"); ok {
		t.Error("median")
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	for _, p := range []Policy{Union(), Newest()} {
		if r := p.Compose(alice, nil); !r.Empty() || r.Parts() != nil || r.Declarations() != "" {
			t.Error(p.Name())
		}
		if r := p.Compose(alice, []Publication{published(t, 1, "")}); !r.Empty() {
			t.Error(p.Name())
		}
		if r := p.Compose(alice, []Publication{published(t, 1, "<note/>")}); r.Empty() {
			t.Error(p.Name())
		}
	}
}

// TestOrder: open before absent before closed, then the newest modification,
// then its order, then document order.
func TestOrder(t *testing.T) {
	t.Parallel()
	a := published(t, 1, tuple("a1", "closed")+tuple("a2", "open")+tuple("a3", "")+tuple("a4", "open"))
	b := published(t, 2, tuple("b1", "")+tuple("b2", "open")+tuple("b3", "closed"))
	c := published(t, 3, tuple("c1", "open"))
	want := []string{"c1", "b2", "a2", "a4", "b1", "a3", "b3", "a1"}
	ids := func(pubs ...Publication) (list []string) {
		for _, p := range Union().Compose(alice, pubs).Parts() {
			list = append(list, p.Of.ID)
		}
		return list
	}
	equal(t, ids(a, b, c), want)
	equal(t, ids(c, a, b), want)
	a.Modified = start.Add(time.Hour)
	equal(t, ids(a, b, c), []string{"a2", "a4", "c1", "b2", "a3", "b1", "a1", "b3"})
	b.Modified, c.Modified = a.Modified, a.Modified
	equal(t, ids(a, b, c), want)
}

func TestKinds(t *testing.T) {
	t.Parallel()
	a := published(t, 1, `<note xml:lang="en">hello</note><note>hello</note><dm:person id="p1"/><x:e xmlns:x="urn:x"/>`+tuple("t1", "open"))
	b := published(t, 2, `<note xml:lang="en"> hello</note><note xml:lang="de">hello</note><x:e xmlns:x="urn:x"/><dm:person id="p2"/>`+device("d2", "u", ""))
	equal(t, texts(Union().Compose(alice, []Publication{a, b})), []string{
		tuple("t1", "open"),
		`<note xml:lang="en"> hello</note>`, `<note xml:lang="de">hello</note>`, `<note>hello</note>`,
		`<dm:person id="p2"/>`, `<dm:person id="p1"/>`, device("d2", "u", ""),
		`<x:e xmlns:x="urn:x"/>`, `<x:e xmlns:x="urn:x"/>`,
	})
	equal(t, texts(Newest().Compose(alice, []Publication{b, a})), []string{
		`<note xml:lang="en"> hello</note>`, `<note xml:lang="de">hello</note>`,
		`<dm:person id="p2"/>`, device("d2", "u", ""), `<x:e xmlns:x="urn:x"/>`,
	})
}

// TestDevices: the newest publication's occurrences of a device are told.
func TestDevices(t *testing.T) {
	t.Parallel()
	a := published(t, 1, device("d", "urn:1", "")+device("e", "urn:2", ""))
	b := published(t, 2, device("d", "urn:1", "<rpid:class>b</rpid:class>")+device("d2", "urn:1", ""))
	equal(t, texts(Union().Compose(alice, []Publication{a, b})), []string{
		device("d", "urn:1", "<rpid:class>b</rpid:class>"), device("d2", "urn:1", ""), device("e", "urn:2", ""),
	})
	a.Modified = start.Add(time.Hour)
	equal(t, texts(Union().Compose(alice, []Publication{a, b})), []string{device("d", "urn:1", ""), device("e", "urn:2", "")})
}

// TestTwoPhones: two baresips of one user, whose ids are constants.
func TestTwoPhones(t *testing.T) {
	t.Parallel()
	phone := func(serial uint64) Publication {
		return Publication{Serial: serial, Modified: start, Order: serial, Doc: load(t, "client-baresip")}
	}
	one, two := phone(1000), phone(2000)
	alone := Union().Compose(alice, []Publication{one})
	equal(t, ids(t, alone), []string{"t4109", "p4159"})
	both := ids(t, Union().Compose(alice, []Publication{two, one}))
	renamed := "-" + base36(2000)
	equal(t, both, []string{"t4109" + renamed, "t4109", "p4159" + renamed, "p4159"})

	// Others come and go, with other ids and with the same: these stay.
	other, same := published(t, 3000, tuple("x", "closed")), phone(4000)
	for _, more := range [][]Publication{{other}, {same}, {other, same}} {
		got := ids(t, Union().Compose(alice, append(more, one, two)))
		for _, id := range both {
			if !slices.Contains(got, id) {
				t.Errorf("%s is lost in %v", id, got)
			}
		}
	}
	// The older one modifies: its own ids and the other's stay.
	one.Modified, one.Order = start.Add(time.Minute), 5000
	equal(t, sorted(ids(t, Union().Compose(alice, []Publication{one, two}))), sorted(both))
	// The older one ends: with Apart the younger's stay even so.
	equal(t, ids(t, Union().Compose(alice, []Publication{two})), []string{"t4109", "p4159"})
	if two.Apart = Collides(two, []Publication{one, two}); !two.Apart {
		t.Error("they do not collide")
	}
	equal(t, ids(t, Union().Compose(alice, []Publication{two})), []string{"t4109" + renamed, "p4159" + renamed})
	if Collides(other, []Publication{one, two, other}) {
		t.Error("x collides")
	}
}

func base36(serial uint64) string {
	return strings.TrimPrefix(newName("", serial, new(table[string, struct{}])), "-")
}

func sorted(list []string) []string { slices.Sort(list); return list }

// ids lists the ids of a composed document.
func ids(t testing.TB, r Raw) (list []string) {
	t.Helper()
	for _, id := range again(t, r).AllIDs() {
		list = append(list, id.Value)
	}
	return list
}

// TestRename: RPID's ids are renamed too, no new name hits a published one, and
// everything else of the element stays.
func TestRename(t *testing.T) {
	t.Parallel()
	s := "-" + base36(2)
	a := published(t, 1, tuple("t", "open")+tuple("u"+s, "open")+`<dm:person id="p"><rpid:activities id="act"/></dm:person>`)
	b := published(t, 2, `<tuple  id = 't' ><status/><x:e id='t' xmlns:x='urn:x'/></tuple>`+tuple("t"+s, "")+tuple("u", "")+
		`<dm:person id="act"><rpid:activities id="p"/></dm:person>`)
	c := published(t, 3, tuple("u", "closed"))
	equal(t, texts(Union().Compose(alice, []Publication{a, b, c})), []string{
		tuple("t", "open"), tuple("u"+s, "open"),
		`<tuple  id = 't` + s + `-2' ><status/><x:e id='t' xmlns:x='urn:x'/></tuple>`, tuple("t"+s, ""), tuple("u", ""),
		tuple("u-"+base36(3), "closed"),
		`<dm:person id="act` + s + `"><rpid:activities id="p` + s + `"/></dm:person>`,
		`<dm:person id="p"><rpid:activities id="act"/></dm:person>`,
	})
}

// TestNamespaces: a part means the same under the new root.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	a := Publication{Serial: 1, Modified: start, Doc: doc(t, `<p:presence xmlns:p="urn:ietf:params:xml:ns:pidf" xmlns="urn:own" xmlns:x="urn:one" xml:lang="de" entity="e">`+
		`<p:tuple id="a"><p:status/><own/><x:y/></p:tuple><p:note>n</p:note><p:note xml:lang="en">n</p:note></p:presence>`)}
	b := Publication{Serial: 2, Modified: start, Doc: doc(t, `<q:presence xmlns:q="urn:ietf:params:xml:ns:pidf" xmlns:x="urn:two" xmlns:p="urn:ietf:params:xml:ns:pidf" entity="e">`+
		`<q:tuple id="b"><q:status><x:y/></q:status></q:tuple><q:tuple xmlns:x="urn:three" id="c"><q:status><x:y/></q:status></q:tuple><x:z><none/></x:z></q:presence>`)}
	r := Union().Compose(alice, []Publication{a, b})
	if want := ` xmlns:p="urn:ietf:params:xml:ns:pidf" xmlns:x="urn:one" xmlns:q="urn:ietf:params:xml:ns:pidf"`; r.Declarations() != want {
		t.Errorf("declarations %s", r.Declarations())
	}
	equal(t, texts(r), []string{
		`<q:tuple xmlns:x="urn:two" id="b"><q:status><x:y/></q:status></q:tuple>`,
		`<q:tuple xmlns:q="urn:ietf:params:xml:ns:pidf" xmlns:p="urn:ietf:params:xml:ns:pidf" xmlns:x="urn:three" id="c"><q:status><x:y/></q:status></q:tuple>`,
		`<p:tuple xmlns="urn:own" xml:lang="de" id="a"><p:status/><own/><x:y/></p:tuple>`,
		`<p:note xml:lang="de">n</p:note>`, `<p:note xml:lang="en">n</p:note>`,
		`<x:z xmlns="" xmlns:x="urn:two"><none/></x:z>`,
	})
	again(t, r)
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	r := Union().Compose(alice, []Publication{published(t, 1, "<note>secret</note>")})
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "doc", r)
	fmt.Fprintf(&b, "%v %+v %#v", r, r, r)
	if strings.Contains(b.String(), "secret") || !strings.Contains(b.String(), "composed presence (1 parts)") {
		t.Error(b.String())
	}
}

// TestMany holds that the largest publications cost a bounded time.
func TestMany(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`<dm:person id="p">`)
	for i := range 2000 {
		fmt.Fprintf(&b, `<rpid:x id="a%d"/>`, i)
	}
	b.WriteString(`</dm:person>`)
	for i := range 100 {
		b.WriteString(device(fmt.Sprint("d", i), fmt.Sprint("urn:", i), ""))
	}
	var pubs []Publication
	for i := range uint64(10) {
		pubs = append(pubs, published(t, i+1, b.String()))
	}
	begin := time.Now()
	r := Union().Compose(alice, pubs)
	if took := time.Since(begin); took > 2*time.Second {
		t.Error(took)
	}
	if len(r.Parts()) != 110 {
		t.Error(len(r.Parts()))
	}
	for _, p := range r.Parts() {
		if _, err := xmltree.Parse("<a xmlns:dm='u' xmlns:rpid='v'>"+p.Text+"</a>", xmltree.Limits{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProperties holds for random documents that nothing is lost, ids are
// different, the order holds, and neither the order of the publications nor a
// second composition changes a byte.
func TestProperties(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var pubs []Publication
		for i := range uint64(rnd.IntN(6)) {
			p := published(t, 1+i*uint64(1+rnd.IntN(9))*100+i, random(rnd))
			p.Modified = start.Add(time.Duration(rnd.IntN(4)) * time.Second)
			p.Apart = rnd.IntN(4) == 0
			pubs = append(pubs, p)
		}
		r := Union().Compose(alice, pubs)
		if len(pubs) == 0 {
			continue
		}
		d := again(t, r) // its ids differ, its order is right
		if len(d.Parts()) != len(r.Parts()) {
			t.Fatalf("seed %d: %d parts of %d", seed, len(d.Parts()), len(r.Parts()))
		}
		nothingLost(t, pubs, r)
		inOrder(t, pubs, r)
		shuffled := slices.Clone(pubs)
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := Union().Compose(alice, shuffled); whole(got) != whole(r) {
			t.Fatalf("seed %d:\n%s\n%s", seed, whole(got), whole(r))
		}
		one := Union().Compose(alice, []Publication{{Serial: 1, Doc: d}})
		two := Union().Compose(alice, []Publication{{Serial: 1, Doc: again(t, one)}})
		if whole(one) != whole(two) || !slices.Equal(texts(one), texts(r)) {
			t.Fatalf("seed %d: composing the composed:\n%s\n%s", seed, whole(r), whole(one))
		}
	}
}

func random(rnd *rand.Rand) string {
	var b strings.Builder
	id := func() string { return string(rune('a'+rnd.IntN(6))) + strings.Repeat("x", rnd.IntN(2)) }
	used := map[string]bool{}
	for range rnd.IntN(6) {
		n := id()
		if used[n] {
			continue
		}
		used[n] = true
		switch rnd.IntN(6) {
		case 0, 1:
			b.WriteString(tuple(n, []string{"open", "closed", ""}[rnd.IntN(3)]))
		case 2:
			b.WriteString(`<dm:person id="` + n + `"><rpid:activities/></dm:person>`)
		case 3:
			b.WriteString(device(n, "urn:"+id(), ""))
		case 4:
			b.WriteString(`<note>` + id() + `</note>`)
		default:
			b.WriteString(`<v:ext xmlns:v="urn:v" id="` + n + `"/>`)
		}
	}
	return b.String()
}

func nothingLost(t *testing.T, pubs []Publication, r Raw) {
	t.Helper()
	told := map[*pidf.Part]bool{}
	devices, notes := map[string]bool{}, map[string]bool{}
	for _, p := range r.Parts() {
		told[p.Of] = true
		devices[p.Of.DeviceID] = true
		notes[p.Of.Text] = true
	}
	for _, pub := range pubs {
		for i := range pub.Doc.Parts() {
			p := &pub.Doc.Parts()[i]
			if !told[p] && !(p.Kind == pidf.Device && devices[p.DeviceID]) && !(p.Kind == pidf.Note && notes[p.Text]) {
				t.Fatalf("%+v is lost", *p)
			}
		}
	}
}

func inOrder(t *testing.T, pubs []Publication, r Raw) {
	t.Helper()
	of := map[*pidf.Part]Publication{}
	for _, pub := range pubs {
		for i := range pub.Doc.Parts() {
			of[&pub.Doc.Parts()[i]] = pub
		}
	}
	rank := map[pidf.Basic]int{pidf.Open: 0, pidf.Absent: 1, pidf.Closed: 2}
	for i := 1; i < len(r.Parts()); i++ {
		q, p := r.Parts()[i-1], r.Parts()[i]
		switch {
		case q.Of.Kind > p.Of.Kind:
			t.Fatalf("%v before %v", q.Of.Kind, p.Of.Kind)
		case q.Of.Kind < p.Of.Kind:
		case rank[q.Of.Basic] > rank[p.Of.Basic]:
			t.Fatalf("%v before %v", q.Of.Basic, p.Of.Basic)
		case q.Of.Basic == p.Of.Basic && newestFirst(of[q.Of], of[p.Of]) > 0:
			t.Fatalf("%v before %v", of[q.Of].Modified, of[p.Of].Modified)
		}
	}
}

// FuzzCompose holds that any two documents compose to one that is regular.
func FuzzCompose(f *testing.F) {
	files, err := filepath.Glob("../pidf/testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	bodies := vectors.Documents(f, "presence")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		bodies = append(bodies, string(text))
	}
	for i := range bodies {
		f.Add(bodies[i], bodies[(i+1)%len(bodies)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		da, err := pidf.Parse(a)
		if err != nil {
			return
		}
		db, err := pidf.Parse(b)
		if err != nil || len(a)+len(b) > pidf.MaxBytes/4 || len(da.Parts())+len(db.Parts()) > 100 {
			return
		}
		r := Union().Compose(alice, []Publication{{Serial: 1, Doc: da}, {Serial: 2, Doc: db}})
		if n := len(da.Bindings()) + len(db.Bindings()); n > 20 || len(r.Declarations()) > 1<<10 { // together they may be beyond the limits of one
			return
		}
		d := again(t, r)
		if len(d.Parts()) != len(r.Parts()) {
			t.Fatalf("%d parts of %d", len(d.Parts()), len(r.Parts()))
		}
		for i := range d.Parts() {
			p, q := &d.Parts()[i], r.Parts()[i].Of
			if p.Kind != q.Kind || p.Basic != q.Basic || p.DeviceID != q.DeviceID || p.Class != q.Class ||
				p.Contact != q.Contact || p.Timestamp != q.Timestamp || p.Text != q.Text || p.Lang != q.Lang {
				t.Fatalf("%+v became %+v", *q, *p)
			}
		}
	})
}

func BenchmarkCompose(b *testing.B) {
	one := Publication{Serial: 1, Modified: start, Doc: load(b, "sample")}
	two := Publication{Serial: 2, Modified: start, Doc: load(b, "client-linphone")}
	same := Publication{Serial: 3, Modified: start, Doc: load(b, "sample")}
	for name, pubs := range map[string][]Publication{"one": {one}, "two": {one, two}, "collision": {one, same}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if Union().Compose(alice, pubs).Empty() {
					b.Fatal("empty")
				}
			}
		})
	}
}
