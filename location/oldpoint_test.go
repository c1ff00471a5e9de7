package location

import (
	"math"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/xmltree"
)

// TestOldPoint has RFC 4119's Point in all its forms at one place, and what is none.
func TestOldPoint(t *testing.T) {
	t.Parallel()
	const old, now = ` xmlns:o="` + OldGMLSpace + `"`, ` xmlns:o="` + GMLSpace + `"`
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{`<o:location` + old + `><o:Point o:id="point1" srsName="epsg:4326"><o:coordinates>37:46:30N 122:25:10W</o:coordinates></o:Point></o:location>`, true},
		{`<o:location` + now + `><o:Point srsName="EPSG:4326"><o:coordinates> 122:25:10w, 37:46:30n </o:coordinates></o:Point></o:location>`, true},
		{`<o:Point` + now + ` srsName="epsg:4326"><o:coordinates decimal="." cs="," ts=" ">37.775,-122.41944444444445</o:coordinates></o:Point>`, true},
		{`<o:Point` + old + ` srsName="` + crs2D + `"><o:coordinates>37:46.5 -122:25:10.0</o:coordinates></o:Point>`, true},
		{`<o:Point` + old + ` srsName="epsg:4326"><o:pos>37.775 -122.41944444444445</o:pos></o:Point>`, true},
		{`<o:location` + now + `><o:Point srsName="` + crs2D + `"><o:pos>37.775 -122.41944444444445</o:pos></o:Point></o:location>`, true},
		{`<o:Point` + old + `><o:pos>37.775 -122.41944444444445</o:pos></o:Point>`, false},
		{`<o:Point` + old + ` srsName="epsg:27700"><o:coordinates>37:46:30N 122:25:10W</o:coordinates></o:Point>`, false},
		{`<o:Point` + old + ` srsName="epsg:4326"><o:coord><o:X>1</o:X><o:Y>2</o:Y></o:coord></o:Point>`, false},
		{`<o:Point` + old + ` srsName="epsg:4326"><o:coordinates>1 2</o:coordinates><o:coordinates>1 2</o:coordinates></o:Point>`, false},
		{`<o:Point` + old + ` srsName="epsg:4326"><o:coordinates cs=";">1;2</o:coordinates></o:Point>`, false},
		{`<o:Point` + old + ` srsName="epsg:4326"><o:coordinates>1<o:b/> 2</o:coordinates></o:Point>`, false},
		{`<o:location` + old + `><o:LocationKeyWord>home</o:LocationKeyWord></o:location>`, false},
	} {
		doc := parse(t, shapeXML(c.text))
		o, err := Read(doc, doc.Root())
		switch {
		case !c.ok:
			if len(o.Shapes) != 0 || o.Unread != 1 || !o.Geodetic {
				t.Errorf("%s is understood", c.text)
			}
		case err != nil || len(o.Shapes) != 1 || math.Abs(o.Shapes[0].Center.Lat-37.775) > 1e-9 || math.Abs(o.Shapes[0].Center.Lon+122.41944444444445) > 1e-9:
			t.Errorf("%s: %v", c.text, err)
		}
		checkEdits(t, doc, doc.Root())
	}
	for _, words := range []string{"", "1", "1 2 3", "1N 2", "1 2E", "1N 2N", "1E 2E", "91 0", "0 181", "1:60 2", "1:2:60N 3E", "1.5:2 3", "1:2:3:4 5", ":1 2", "-1N 2E", "1e1 2", "1: 2", "N E"} {
		doc := parse(t, shapeXML(`<o:Point`+old+` srsName="epsg:4326"><o:coordinates>`+words+`</o:coordinates></o:Point>`))
		if o, _ := Read(doc, doc.Root()); len(o.Shapes) != 0 {
			t.Errorf("%q is understood", words)
		}
	}
}

// TestOldPointIsAPlace has RFC 4119, 2.3's own example meet a condition, and be
// told as a circle.
func TestOldPointIsAPlace(t *testing.T) {
	t.Parallel()
	doc := vector(t, "rfc4119/2.3-geodetic", "presence")
	objects, err := ReadAll(doc, xmltree.Document)
	if err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]bool{circle(37.8, -122.4, 5000): true, circle(37.8, -122.4, 500): false, circle(-122.4, 37.8, 5000): false} {
		c, err := condition(t, `<location profile="geodetic-condition">`+where+`</location>`)
		if want && err != nil {
			t.Fatal(err)
		}
		if c.Holds(NewTarget(objects)) != want {
			t.Errorf("%s: not %v", where, want)
		}
	}
	text, removed := edited(t, doc, objects[0].Node, Limited(None, 500), Options{Band: DefaultBand, Now: noon})
	if removed || !strings.Contains(text, "<gs:radius") || strings.Contains(text, "37:46") {
		t.Error(text)
	}
}
