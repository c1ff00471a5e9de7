package vectors_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/compose"
	"github.com/tacit-presence/tacit/filter"
	"github.com/tacit-presence/tacit/location"
	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/rfc/vectors"
	"github.com/tacit-presence/tacit/view"
	"github.com/tacit-presence/tacit/watcherinfo"
	"github.com/tacit-presence/tacit/xcapdiff"
	"github.com/tacit-presence/tacit/xmltree"
)

// readers read a document of a root's name, and describe what they have understood
// of it. What a reader does not describe the schema has judged.
var readers = map[string]func(text string) (string, error){
	"presence":     describePresence,
	"watcherinfo":  describeWatchers,
	"xcap-diff":    describeDiff,
	"civicAddress": describeCivic,
	"ruleset":      describeRules,
}

// runDocument reads the RFC's documents; where there is a file "want", it is what
// has been understood of all of them.
func runDocument(v *vectors.Vector) error {
	var b strings.Builder
	read := 0
	for _, f := range v.Files {
		if f.Wanted() || f.Root() == "" {
			continue
		}
		read++
		if read := readers[f.Root()]; read != nil {
			text, err := read(v.Mended(f))
			if err != nil {
				return err
			}
			b.WriteString(text)
			continue
		}
		if _, err := xmltree.Parse(v.Mended(f), xmltree.Limits{}); err != nil {
			return err
		}
	}
	if read == 0 {
		return mismatched("there is no document")
	}
	if !v.Has("want") {
		return nil
	}
	return compare(v, "understood", b.String(), strings.TrimSpace)
}

// describePresence writes a line a part, and a line a location.
func describePresence(text string) (string, error) {
	d, err := pidf.Parse(text)
	if err != nil {
		return "", err
	}
	if d.Body() != text {
		return "", mismatched("what was published is not kept:\n%s", d.Body())
	}
	var b strings.Builder
	fmt.Fprintln(&b, "presence of", d.Entity())
	for _, p := range d.Parts() {
		fmt.Fprint(&b, p.Kind)
		if p.Kind == pidf.Tuple {
			fmt.Fprint(&b, " ", p.Basic)
		}
		for _, word := range []string{p.ID, p.Class, p.DeviceID, p.Contact, p.Timestamp, p.Lang, p.Text} {
			if word != "" {
				b.WriteString(" " + strings.Join(strings.Fields(word), " "))
			}
		}
		if p.Priority != pidf.NoPriority {
			fmt.Fprintf(&b, " priority %d", p.Priority)
		}
		b.WriteString("\n")
	}
	tree, err := xmltree.Parse(text, xmltree.Limits{})
	if err != nil {
		return "", err
	}
	objects, err := location.ReadAll(tree, xmltree.Document)
	if err != nil {
		return "", err
	}
	for _, o := range objects {
		b.WriteString(describeLocation(o))
	}
	return b.String(), nil
}

// describeLocation writes what one location object says, a line a thing.
func describeLocation(o location.Object) string {
	var b strings.Builder
	fmt.Fprintf(&b, "location of %s\n", [...]string{"a device", "a tuple", "a person", "none"}[o.Place])
	for _, s := range o.Shapes {
		fmt.Fprintf(&b, "  %s", s.Kind)
		points := s.Vertices
		if len(points) == 0 {
			points = []location.Position{s.Center}
		}
		for _, p := range points {
			fmt.Fprintf(&b, " (%v %v", p.Lat, p.Lon)
			if s.Solid {
				fmt.Fprintf(&b, " %v", p.Alt)
			}
			b.WriteString(")")
		}
		for _, n := range []struct {
			name  string
			value float64
		}{
			{"radius", s.Radius}, {"inner", s.Inner}, {"major", s.SemiMajor}, {"minor", s.SemiMinor}, {"vertical", s.Vertical},
			{"orientation", s.Orientation}, {"start", s.Start}, {"opening", s.Opening}, {"height", s.Height},
		} {
			if n.value != 0 {
				fmt.Fprintf(&b, " %s %v", n.name, n.value)
			}
		}
		b.WriteString("\n")
	}
	for _, c := range o.Civic {
		b.WriteString("  civic")
		for _, item := range c.Items {
			fmt.Fprintf(&b, " %s=%q", item.Name.Local, item.Value)
		}
		b.WriteString("\n")
	}
	if o.Unread > 0 {
		fmt.Fprintf(&b, "  %d not understood\n", o.Unread)
	}
	if !o.Rules.Expiry.IsZero() {
		fmt.Fprintf(&b, "  until %s\n", o.Rules.Expiry.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(&b, "  %s\n", [...]string{"retransmission not said", "not to be passed on", "may be passed on"}[o.Rules.Retransmission])
	for _, said := range []string{o.Rules.Ruleset, o.Rules.NoteWell, o.Method} {
		if said != "" {
			fmt.Fprintf(&b, "  %s\n", strings.Join(strings.Fields(said), " "))
		}
	}
	return b.String()
}

// describeCivic reads an address as that of a location object.
func describeCivic(text string) (string, error) {
	if _, rest, ok := strings.Cut(text, "?>"); ok {
		text = rest
	}
	doc, err := xmltree.Parse(`<geopriv xmlns="`+location.Space+`"><location-info>`+text+`</location-info><usage-rules/></geopriv>`, xmltree.Limits{})
	if err != nil {
		return "", err
	}
	o, err := location.Read(doc, doc.Root())
	return describeLocation(o), err
}

// describeRules says which rules can never hold since they are not understood.
func describeRules(text string) (string, error) {
	set, err := policy.ReadRuleSet(text, zones)
	if err != nil {
		return "", err
	}
	return strings.Join(set.NotUnderstood(), "\n"), nil
}

func describeWatchers(text string) (string, error) {
	d, err := watcherinfo.Parse(text)
	if err != nil {
		return "", err
	}
	if again, err := watcherinfo.Parse(d.Text()); err != nil || again.Text() != d.Text() {
		return "", mismatched("what is written of it is not the same: %v", err)
	}
	return fmt.Sprintf("version %d, %s\n%s", d.Version, map[bool]string{true: "partial", false: "full"}[d.Partial], watcherLines(d.Lists)), nil
}

func watcherLines(lists []watcherinfo.List) string {
	var b strings.Builder
	for _, l := range lists {
		fmt.Fprintf(&b, "%s of %s\n", l.Package, l.Resource)
		for _, w := range l.Watchers {
			fmt.Fprintf(&b, "  %s %s %s %s", w.ID, w.Status, w.Event, w.URI)
			if w.DisplayName != "" {
				fmt.Fprintf(&b, " %q", w.DisplayName)
			}
			for _, s := range []struct {
				name  string
				value watcherinfo.Seconds
			}{{"since", w.DurationSubscribed}, {"for", w.Expiration}} {
				if s.value.Said {
					fmt.Fprintf(&b, " %s %d s", s.name, s.value.N)
				}
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// runWinfo merges the documents of the vector, one after another; "want" is what
// becomes of each, and what is known then.
func runWinfo(v *vectors.Vector) error {
	var table watcherinfo.Table
	var b strings.Builder
	for _, f := range v.Files {
		if f.Root() != "watcherinfo" {
			continue
		}
		if _, err := describeWatchers(v.Mended(f)); err != nil {
			return err
		}
		d, err := watcherinfo.Parse(v.Mended(f))
		if err != nil {
			return err
		}
		merged, err := table.Merge(d)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s: %s\n%s", f.Name, [...]string{"discarded", "taken", "taken, and the full state is needed"}[merged], watcherLines(table.Lists()))
	}
	return compare(v, "known", b.String(), strings.TrimSpace)
}

// canonical writes a document so that two that mean the same are equal: names
// expanded, attributes sorted, texts and CDATA sections one text.
func canonical(text string) string {
	d, err := xmltree.Parse(text, xmltree.Limits{})
	if err != nil {
		return err.Error() + " in\n" + text
	}
	var b strings.Builder
	var walk func(n xmltree.Node)
	walk = func(n xmltree.Node) {
		fmt.Fprintf(&b, "<{%s}%s", d.Space(n), d.Local(n))
		var attrs []string
		for i := range d.NumAttrs(n) {
			a := d.AttrAt(n, i)
			attrs = append(attrs, fmt.Sprintf(" %t{%s}%s=%q", a.Declares(), a.Space(), a.Local(), a.Value()))
		}
		slices.Sort(attrs)
		b.WriteString(strings.Join(attrs, "") + ">")
		for c := d.FirstChild(n); c != xmltree.None; c = d.Next(c) {
			switch d.Kind(c) {
			case xmltree.KindElement:
				walk(c)
			case xmltree.KindCData:
				raw := d.Raw(c)
				b.WriteString(xmltree.EscapeAttr(raw[len("<![CDATA[") : len(raw)-len("]]>")]))
			default:
				b.WriteString(d.Raw(c))
			}
		}
		b.WriteString("</>")
	}
	for c := d.FirstChild(xmltree.Document); c != xmltree.None; c = d.Next(c) {
		if d.Kind(c) == xmltree.KindElement {
			walk(c)
		} else {
			b.WriteString(d.Raw(c))
		}
	}
	return b.String()
}

func canonicalSpaceless(text string) string { return withoutSpace(canonical(text)) }

// runPatch applies "diff" to "target" (RFC 5261).
func runPatch(v *vectors.Vector) error {
	d, err := xmltree.Parse(v.Text("diff"), xmltree.Limits{})
	if err != nil {
		return err
	}
	p, err := xmltree.ParsePatch(d, d.Root(), d.Space(d.Root()))
	if err != nil {
		return err
	}
	got, err := p.Apply(v.Text("target"), xmltree.Limits{})
	if err != nil {
		return err
	}
	// White space counts, but where the RFC's own result is set out otherwise.
	same := canonical
	if v.Argument("space") == "does not count" {
		same = canonicalSpaceless
	}
	return compare(v, "result", strings.TrimSpace(got), func(s string) string { return same(strings.TrimSpace(s)) })
}

// runPartial applies "diff" to "full" (RFC 5262). What becomes of it is "result",
// a full document too, and "want" what it says.
func runPartial(v *vectors.Vector) error {
	full, err := pidf.ParsePartial(v.Text("full"))
	if err != nil {
		return err
	}
	old, ok := full.Full()
	if !ok {
		return mismatched("not full")
	}
	diff, err := pidf.ParsePartial(v.Text("diff"))
	if err != nil {
		return err
	}
	if _, full := diff.Full(); full {
		return mismatched("a diff that is full")
	}
	got, err := diff.Apply(old)
	if err != nil {
		return err
	}
	if v.Has("result") {
		result, err := pidf.ParsePartial(v.Text("result"))
		if err != nil {
			return err
		}
		want, _ := result.Full()
		if canonicalSpaceless(got) != canonicalSpaceless(want) {
			return mismatched("got\n%s\nwant\n%s", got, want)
		}
	}
	told, err := describePresence(got)
	if err != nil {
		return err
	}
	if err := sendsPartial(old, got); err != nil {
		return err
	}
	return compare(v, "understood", fmt.Sprintf("version %d, then %d\n%s", full.Version(), diff.Version(), told), strings.TrimSpace)
}

// sendsPartial holds that a watcher who has been sent a document before, and is now
// sent what has changed, has what it would have been sent whole.
func sendsPartial(before, after string) error {
	const entity = "sip:resource@example.com"
	whole := func(text string) (view.Final, error) {
		doc, err := pidf.Parse(text)
		raw := compose.Union().Compose(entity, []compose.Publication{{Doc: doc}})
		c := policy.Apply(raw, policy.Decision{Handling: policy.Allow, Permissions: policy.Everything()})
		return view.Finish(filter.Apply(c, filter.Filter{}), entity, entity), err
	}
	first, err := whole(before)
	if err != nil {
		return err
	}
	second, err := whole(after)
	if err != nil {
		return err
	}
	change := second.Partial(first)
	body, at := change.Body(), change.VersionAt()
	if change.ContentType() != pidf.PartialContentType || at == 0 || len(body) >= len(second.Body()) {
		return mismatched("no change is sent, but\n%s", body)
	}
	diff, err := pidf.ParsePartial(body[:at] + "2" + body[at:])
	if err != nil {
		return mismatched("what is sent cannot be read: %v", err)
	}
	got, err := diff.Apply(first.Body())
	if err != nil || canonical(got) != canonical(second.Body()) {
		return mismatched("%v: the watcher has\n%s\nand not\n%s", err, got, second.Body())
	}
	return nil
}

func describeDiff(text string) (string, error) {
	d, err := xcapdiff.Parse(text)
	if err != nil {
		return "", err
	}
	if again, err := xcapdiff.Parse(d.Text()); err != nil || again.Text() != d.Text() {
		return "", mismatched("what is written of it is not the same: %v", err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, "root", d.Root)
	for _, i := range d.Items {
		b.WriteString([...]string{"document ", "element ", "attribute "}[i.Kind] + i.Sel)
		if i.Kind == xcapdiff.KindDocument {
			fmt.Fprintf(&b, " %q to %q", i.Was, i.Is)
		}
		if i.Gone {
			b.WriteString(" is not there")
		}
		if i.Same {
			b.WriteString(", and is the same")
		}
		for _, op := range i.Ops {
			fmt.Fprintf(&b, ", %s %s", op.Name, op.Sel)
		}
		if i.Text != "" {
			fmt.Fprintf(&b, " is %q", strings.Join(strings.Fields(i.Text), " "))
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

// runChanges gives a subscriber the documents of the vector, one after another
// (RFC 5874, RFC 5875). It has "fetched", if there is that file, as "had" says: the
// URI and the entity-tag. "want" is what it has after each.
func runChanges(v *vectors.Vector) error {
	var b strings.Builder
	copies := func() (c xcapdiff.Copies) {
		if sel, etag, ok := strings.Cut(v.Argument("had"), " "); ok {
			c.Fetched(sel, presence.EntityTag(etag), strings.TrimSuffix(v.Text("fetched"), "\n"))
		}
		return c
	}
	c := copies()
	for _, f := range v.Files {
		if f.Root() != "xcap-diff" {
			continue
		}
		if v.Argument("each") == "alone" {
			c = copies()
		}
		if _, err := describeDiff(v.Mended(f)); err != nil {
			return err
		}
		d, err := xcapdiff.Parse(v.Mended(f))
		if err != nil {
			return err
		}
		if err := c.Apply(d); err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s\n", f.Name)
		for _, sel := range slices.Sorted(maps.Keys(c.Documents)) {
			was := c.Documents[sel]
			fmt.Fprintf(&b, "  %s %s", sel, was.ETag)
			if was.Known {
				fmt.Fprintf(&b, " %q", was.Body)
			}
			b.WriteString("\n")
		}
		for _, sel := range slices.Sorted(maps.Keys(c.Parts)) {
			fmt.Fprintf(&b, "  %s is %q\n", sel, strings.Join(strings.Fields(c.Parts[sel]), " "))
		}
	}
	return compare(v, "kept", b.String(), strings.TrimSpace)
}

// runList reads which resources somebody wants to be told of (RFC 5875, 4.4).
func runList(v *vectors.Vector) error {
	uris, err := xcapdiff.ParseList(v.Text("list"))
	if err != nil {
		return err
	}
	return compare(v, "uris", strings.Join(uris, "\n"), strings.TrimSpace)
}
