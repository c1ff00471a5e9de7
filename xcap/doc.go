// Package xcap is the XCAP server (RFC 4825): documents of users, and single
// elements and attributes of them, over HTTP.
//
// Its core is pure: ParseTarget reads a request's path, ParseSelector its node
// selector, and a Selector reads and edits a document's text. An edit is a
// splice: every other byte stays. What a document may say is for the Validator
// of its application usage, where it is kept for Documents, whose owner alone
// changes it; Handler joins them.
//
// Only owners see their trees. Whatever else is asked for below users/, whether
// or not there is such a user or document, gets one and the same 403.
package xcap

import "errors"

// The errors of reading a request's target.
var (
	// ErrNotFound: there is no such resource.
	ErrNotFound = errors.New("no such XCAP resource")
	// ErrURI: the URI cannot be read.
	ErrURI = errors.New("unreadable XCAP URI")
	// ErrURITooLong: the URI is longer than any that we answer.
	ErrURITooLong = errors.New("XCAP URI too long")
	// ErrPrefix: a name's prefix is bound by no xmlns() of the query.
	ErrPrefix = errors.New("prefix is not bound by the query")
	// ErrStep: a step is none that we know, so an extension (RFC 4825, 6.3).
	ErrStep = errors.New("node selector not understood")
)

const (
	// maxURI bounds path and query: a selector with the URIs of others in its
	// predicates has some 500 bytes.
	maxURI = 8 << 10
	// maxSegment bounds one segment of a document selector: file systems and
	// clients stay below.
	maxSegment = 255
	// maxSteps bounds a node selector; a document that is parsed is no deeper
	// than 64.
	maxSteps = 64
	// maxBindings bounds the xmlns() of a query: documents of the presence
	// family declare about ten namespaces.
	maxBindings = 32
)

// AUID is an application unique ID (RFC 4825, 5.1).
type AUID string

// Tree is one of the two trees of an application usage.
type Tree uint8

// The trees.
const (
	TreeUsers Tree = iota
	TreeGlobal
)

// String returns the tree's path segment.
func (t Tree) String() string {
	if t == TreeGlobal {
		return segmentGlobal
	}
	return segmentUsers
}

const (
	segmentUsers  = "users"
	segmentGlobal = "global"
	separator     = "~~"
)
