package policy

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/xmltree"
)

// check walks a document with another parser: every element and attribute in it
// must be one that the grant can show.
func check(text string, g *grant) error {
	dec := xml.NewDecoder(strings.NewReader(text))
	var path []xml.Name
	opaque := 0 // inside of an unknown element
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.StartElement:
			path = append(path, e.Name)
			if opaque > 0 {
				opaque++
				if !g.everything && e.Name.Space == geoprivSpace && e.Name.Local == "geopriv" {
					return fmt.Errorf("a location in %v", path)
				}
				continue
			}
			unknown, err := checkElement(path, e.Attr, g)
			if err != nil {
				return err
			}
			if unknown {
				opaque = 1
			}
		case xml.EndElement:
			path = path[:len(path)-1]
			opaque = max(0, opaque-1)
		case xml.Comment, xml.ProcInst:
			if len(path) > 0 {
				return fmt.Errorf("%T in %v", e, path)
			}
		}
	}
}

// checkElement reports whether an element is one that is shown as a whole.
func checkElement(path []xml.Name, attrs []xml.Attr, g *grant) (opaque bool, err error) {
	opaque, err = checkName(path, g)
	if err == nil && !opaque {
		err = checkAttrs(path[len(path)-1], attrs, g)
	}
	if err != nil {
		err = fmt.Errorf("%v: %w", path, err)
	}
	return opaque, err
}

func checkName(path []xml.Name, g *grant) (opaque bool, err error) {
	n := path[len(path)-1]
	if n.Space == ownSpace {
		if len(path) != 2 || g.coarse == 0 {
			return false, errors.New("has no place here")
		}
		return false, nil
	}
	if n.Space == geoprivSpace && n.Local == "geopriv" && len(path) > 2 && !g.location.IsNothing() {
		return true, nil
	}
	if n.Space == pidf.OMASpace && n.Local != "service-description" {
		for _, row := range omaTable {
			if row.name == n.Local && (len(path) > 2 && row.shown(g) || g.everything) {
				return true, nil
			}
		}
		return false, errors.New("is not granted")
	}
	if slices.Contains(g.unknown, xmltree.Name{Space: n.Space, Local: n.Local}) || g.everything && n.Space != pidf.Space && n.Space != pidf.DataModelSpace {
		return true, nil
	}
	switch {
	case len(path) <= 2: // presence, tuple, person, device, note
		if n.Local == "note" && granted(provideNote)(g) {
			return false, nil
		}
		if !slices.Contains([]string{"presence", "tuple", "person", "device"}, n.Local) {
			return false, errors.New("has no place here")
		}
		return false, nil
	case path[2].Space == pidf.RPIDSpace:
		if len(path) > 3 {
			return n.Space != pidf.RPIDSpace, nil
		}
		if n.Local == "class" && granted(provideClass)(g) {
			return false, nil
		}
		for _, row := range table1 {
			if row.name == n.Local && row.shown(g) && slices.Contains(strings.Fields(row.in), path[1].Local) {
				return false, nil
			}
		}
		return false, errors.New("is not granted")
	}
	switch strings.Join(locals(path[1:]), " ") {
	case "tuple status", "tuple status basic", "tuple contact", "tuple timestamp", "person timestamp", "device timestamp", "device deviceID":
		return false, nil
	case "tuple deviceID":
		if granted(provideDeviceID)(g) {
			return false, nil
		}
	case "tuple note", "person note", "device note":
		if granted(provideNote)(g) {
			return false, nil
		}
	}
	if g.everything && len(path) > 2 {
		return true, nil
	}
	return false, errors.New("is not granted")
}

func locals(path []xml.Name) (out []string) {
	for _, n := range path {
		out = append(out, n.Local)
	}
	return out
}

func checkAttrs(n xml.Name, attrs []xml.Attr, g *grant) error {
	for _, a := range attrs {
		name := a.Name.Local
		switch {
		case a.Name.Space == "xmlns" || name == "xmlns" || name == "lang":
		case a.Name.Space != "":
			return fmt.Errorf("attribute %v", a.Name)
		case name == "entity" && n.Local == "presence", name == "priority" && n.Local == "contact",
			name == "seconds" && n.Space == ownSpace,
			name == "id" && (n.Local == "tuple" || n.Space == pidf.DataModelSpace),
			name == "from", name == "until", name == "description" && n.Local == "time-offset",
			name == "idle-threshold" && inputLevel(userInputThresholds)(g), name == "last-input" && inputLevel(userInputFull)(g):
		default:
			return fmt.Errorf("attribute %v", a.Name)
		}
		if g.coarse == 900 && (name == "from" || name == "until" || name == "last-input") &&
			!slices.ContainsFunc([]string{":00:00", ":15:00", ":30:00", ":45:00"}, func(end string) bool { return strings.HasSuffix(strings.TrimSuffix(a.Value, "Z"), end) }) {
			return fmt.Errorf("%s=%q is not coarse", name, a.Value)
		}
	}
	return nil
}
