// Package xmltree is a bounded, strict, byte-preserving XML tree.
package xmltree

// Limits bounds what one document may cost.
type Limits struct{ MaxBytes, MaxDepth, MaxNodes, MaxAttrs int }

// Doc is a parsed document.
type Doc struct{ src string }

// Parse parses src.
func Parse(src string, lim Limits) (*Doc, error) {
	d := new(Doc)
	return d, d.Parse(src, lim)
}

// Parse parses src, reusing d's memory.
func (d *Doc) Parse(src string, lim Limits) error { d.src = src; return nil }
