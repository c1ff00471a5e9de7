package policy

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/tacit-presence/tacit/pidf"
)

// assembly puts the pieces together.
//
// The ids of components are made of what is told of them: a tuple's of its
// contact, a device's of its deviceID, with a number for the second one of the
// same and so on; those of persons are numbers. So they last as long as what
// they name. The ids that were published, and what composition made of them,
// could tell of other components, or that two views are of one presentity.
func (w *writer) assembly() pidf.Assembly {
	w.merge()
	if len(w.pieces) == 0 {
		return pidf.Assembly{}
	}
	if w.g.coarse > 0 {
		w.sort()
		w.sayCoarse()
	}
	var uses namespaces
	for i := range w.pieces {
		p, start := &w.pieces[i], len(w.out)
		uses |= p.uses
		w.finish(p)
		p.start, p.end = start, len(w.out)
	}
	text := string(w.out)
	parts := make([]pidf.Component, len(w.pieces))
	for i := range w.pieces {
		p := &w.pieces[i]
		parts[i] = pidf.Component{Of: p.of, Text: text[p.start:p.end]}
	}
	return pidf.NewAssembly(declarations[uses], parts)
}

// finish appends a piece to what goes out, whole.
func (w *writer) finish(p *piece) {
	body := w.buf[p.start:p.end]
	form := &forms[p.of.Kind]
	if form.open == "" {
		w.out = append(w.out, body...)
		return
	}
	w.out = append(w.out, form.open...)
	w.out = w.appendID(w.out, p.of)
	w.out = append(w.out, '"')
	w.out = append(w.out, body...)
	if time := w.time(p); len(time) > 0 {
		w.out = append(w.out, form.time...)
		w.out = append(w.out, time...)
		w.out = append(w.out, form.timeEnd...)
	}
	w.out = append(w.out, form.close...)
}

// named is what an id is made of.
type named struct {
	kind pidf.Kind
	sum  uint64
}

// appendID appends a component's id without its first letter.
func (w *writer) appendID(b []byte, p *pidf.Part) []byte {
	key := named{kind: p.Kind}
	switch p.Kind {
	case pidf.Tuple:
		key.sum = pidf.Sum(p.Contact)
	case pidf.Device:
		key.sum = pidf.Sum(p.DeviceID)
	}
	w.ids[key]++
	count := w.ids[key]
	if p.Kind == pidf.Person {
		return strconv.AppendInt(b, int64(count), 10)
	}
	if b = strconv.AppendUint(b, key.sum, 36); count > 1 {
		b = strconv.AppendInt(append(b, '-'), int64(count), 10)
	}
	return b
}

func (w *writer) time(p *piece) []byte { return w.buf[p.time.Start:p.time.End] }

// compareTimes compares times as they are written: in UTC, with a fraction of a
// second or without.
func compareTimes(a, b []byte) int {
	return bytes.Compare(bytes.TrimSuffix(a, []byte("Z")), bytes.TrimSuffix(b, []byte("Z")))
}

// fewPieces is up to where comparing all pairs is cheaper than a map.
const fewPieces = 16

// merge leaves one of pieces that are equal but for their times, at the place of
// the first, with the newest time; and of idle ones none if there is another of
// their kind.
func (w *writer) merge() {
	var told [len(forms)]bool
	for i := range w.pieces {
		if p := &w.pieces[i]; !p.idle {
			told[p.of.Kind] = true
		}
	}
	var first map[string]int
	if len(w.pieces) > fewPieces {
		first = make(map[string]int, len(w.pieces))
	}
	kept := w.pieces[:0]
	for _, p := range w.pieces {
		if p.idle && told[p.of.Kind] {
			continue
		}
		same := -1
		if body := w.buf[p.start:p.end]; first == nil {
			same = slices.IndexFunc(kept, func(k piece) bool {
				return k.of.Kind == p.of.Kind && bytes.Equal(w.buf[k.start:k.end], body)
			})
		} else {
			key := string(append(w.out[:0], byte(p.of.Kind))) + string(body)
			if i, ok := first[key]; ok {
				same = i
			} else {
				first[key] = len(kept)
			}
		}
		if same < 0 {
			kept = append(kept, p)
		} else if k := &kept[same]; compareTimes(w.time(k), w.time(&p)) < 0 {
			k.time = p.time
		}
	}
	clear(w.pieces[len(kept):])
	w.pieces = kept
}

// sort takes the newest-first order of publications away where times are coarse:
// it would tell in what order things happened within one step of them.
func (w *writer) sort() {
	rank := [...]int{pidf.Open: 0, pidf.Absent: 1, pidf.Closed: 2}
	slices.SortStableFunc(w.pieces, func(a, b piece) int {
		return cmp.Or(int(a.of.Kind)-int(b.of.Kind), rank[a.of.Basic]-rank[b.of.Basic],
			compareTimes(w.time(&b), w.time(&a)), bytes.Compare(w.buf[a.start:a.end], w.buf[b.start:b.end]))
	})
}
