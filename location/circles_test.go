package location

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tacit-presence/tacit/xmltree"
)

// told tells objects beside one another, and gives the circles by object.
func told(t *testing.T, radius uint32, locations []string) (text string, circles []string) {
	t.Helper()
	b := strings.Builder{}
	for _, l := range locations {
		b.WriteString(shapeXML(l))
	}
	doc := parse(t, "<p>"+b.String()+"</p>")
	nodes := AppendNodes(nil, doc, xmltree.Document)
	p := Limited(None, radius)
	o := Options{Band: DefaultBand, Now: noon, Circles: p.Circles(doc, nodes, DefaultBand)}
	var edits []xmltree.Edit
	for _, n := range nodes {
		e, remove := p.Edit(doc, n, o)
		if remove {
			t.Fatal("removed")
		}
		edits = append(edits, e...)
	}
	text = xmltree.Splice(doc.Source(), xmltree.Span{End: len(doc.Source())}, edits)
	for _, m := range regexp.MustCompile(`<gml:pos>([^<]*)</gml:pos><gs:radius[^>]*>([^<]*)<`).FindAllStringSubmatch(text, -1) {
		circles = append(circles, m[1]+" "+m[2])
	}
	return text, circles
}

// TestOnePlaceIsToldAsOneCircle holds of several views of one place, which random
// places have beside a border between cells too: whatever the order, they are told
// as one circle. It is around all of them, and telling it again changes nothing.
func TestOnePlaceIsToldAsOneCircle(t *testing.T) {
	t.Parallel()
	rnd := random(t)
	parted := 0
	for range 3000 {
		radius := float64(radii[2+rnd.IntN(4)])
		at := Position{Lat: 26 + 20*rnd.Float64(), Lon: 300*rnd.Float64() - 150}
		var places []Position
		var locations []string
		for range 2 + rnd.IntN(3) {
			p := travel(at, 360*rnd.Float64(), radius/50*rnd.Float64())
			places = append(places, p)
			locations = append(locations, point(p.Lat, p.Lon))
		}
		own := map[string]bool{}
		for _, p := range places {
			c, _, _ := DefaultBand.coarsen(Shape{Center: p}, uint32(radius))
			own[fmt.Sprint(c.Lat, c.Lon)] = true
		}
		if len(own) > 1 {
			parted++
		}
		text, circles := told(t, uint32(radius), locations)
		if len(circles) != len(locations) || len(slices.Compact(slices.Clone(circles))) != 1 {
			t.Fatalf("%v at %f: %v", locations, radius, circles)
		}
		var c Position
		var r float64
		if _, err := fmt.Sscan(circles[0], &c.Lat, &c.Lon, &r); err != nil {
			t.Fatal(err)
		}
		for _, p := range places {
			if distance(c, p) > r {
				t.Fatalf("%v: the circle %s is elsewhere", locations, circles[0])
			}
		}
		rnd.Shuffle(len(locations), func(i, j int) { locations[i], locations[j] = locations[j], locations[i] })
		if again, _ := told(t, uint32(radius), locations); again != text {
			t.Fatalf("another order:\n%s\n%s", text, again)
		}
		coarser := regexp.MustCompile(`<gs:Circle.*?</gs:Circle>`).FindAllString(text, -1)
		if twice, _ := told(t, uint32(radius), coarser); twice != text {
			t.Fatalf("twice:\n%s\n%s", text, twice)
		}
	}
	if parted < 20 {
		t.Errorf("only %d of the places were in several cells", parted)
	}
}

// TestPlacesApartAreTold: what is elsewhere has its own circle, and is told twice
// as it is told once, neighbours too.
func TestPlacesApartAreTold(t *testing.T) {
	t.Parallel()
	var locations []string
	for i := range 40 { // more than are compared
		locations = append(locations, point(40, -105+float64(i)/2))
	}
	text, circles := told(t, 100_000, locations)
	if n := len(slices.Compact(circles)); n < 8 || n > 30 {
		t.Errorf("%d circles", n)
	}
	coarser := regexp.MustCompile(`<gs:Circle.*?</gs:Circle>`).FindAllString(text, -1)
	if twice, _ := told(t, 100_000, coarser); twice != text {
		t.Errorf("twice:\n%s\n%s", text, twice)
	}
}
