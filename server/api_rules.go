package server

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/xcap"
)

// RulesAdmin is the part of Admin about privacy rules: what they say, and what
// comes of them.
type RulesAdmin interface {
	// Explain says what a watcher would get of p, and why.
	Explain(p presence.AOR, q ExplainQuery) (Explanation, error)
	// CompareRules says who would gain and lose what by d. It changes nothing.
	CompareRules(p presence.AOR, d DocumentInput) (RulesDiff, error)
	Documents(p presence.AOR) ([]DocumentInfo, error)
	Document(p presence.AOR, n DocumentName) (string, error) // ErrNoSuch
	// PutDocument keeps d as a PUT by XCAP would, ErrInvalid; effective when it
	// returns.
	PutDocument(p presence.AOR, d DocumentInput) error
	RemoveDocument(p presence.AOR, n DocumentName) error // ErrNoSuch
	// Watchers lists who watches p, as p may know them, and what p is to be told of.
	Watchers(p presence.AOR) (WatcherList, error)
}

// DocumentName names a document of a presentity's.
type DocumentName struct {
	AUID string `json:"auid"` // empty: pres-rules
	Name string `json:"name"` // empty: index
}

// The document that is meant where nothing is said.
const (
	defaultAUID     = "pres-rules"
	defaultDocument = "index" // RFC 5025, 9.7: the one that clients write
)

func (n DocumentName) filled() DocumentName {
	if n.AUID == "" {
		n.AUID = defaultAUID
	}
	if n.Name == "" {
		n.Name = defaultDocument
	}
	return n
}

// MaxDocument bounds a document, in bytes.
const MaxDocument = xcap.DefaultMaxDocument

// DocumentInput is a document to be put, or asked about.
type DocumentInput struct {
	DocumentName
	Body   []byte `json:"body,omitempty"`
	Absent bool   `json:"absent,omitempty"` // asked about: there is none of that name
}

// LogValue keeps documents out of logs.
func (d DocumentInput) LogValue() slog.Value { return slog.StringValue(d.String()) }

// String tells the size alone.
func (d DocumentInput) String() string {
	return fmt.Sprintf("document %s/%s, %d bytes", d.AUID, d.Name, len(d.Body))
}

// GoString is String.
func (d DocumentInput) GoString() string { return d.String() }

// DocumentInfo is one document of a presentity's.
type DocumentInfo struct {
	AUID     string             `json:"auid"`
	Name     string             `json:"name"`
	ETag     presence.EntityTag `json:"etag"`
	Size     int                `json:"size"`
	Modified time.Time          `json:"modified"`
}

// ExplainQuery is what Explain is asked.
type ExplainQuery struct {
	Watcher presence.AOR   `json:"watcher"`     // presence.Anonymous: who is not authenticated
	At      time.Time      `json:"at,omitzero"` // zero: now
	AsIf    *DocumentInput `json:"as_if,omitempty"`
}

// Explanation is what a watcher would get, and why. Its JSON is the API's.
type Explanation struct {
	Presentity presence.Presentity `json:"presentity"`
	Watcher    presence.AOR        `json:"watcher"`
	At         time.Time           `json:"at"`

	Decision  string `json:"decision"`  // what is true: block, confirm, polite-block or allow
	Reason    string `json:"reason"`    // the rules that match, or why none does
	Concealed bool   `json:"concealed"` // decisions are hidden from watchers
	Told      string `json:"told"`      // what the watcher can take it for

	Permissions []string  `json:"permissions"` // in words
	Capped      string    `json:"capped,omitempty"`
	Raised      string    `json:"raised,omitempty"`
	Until       time.Time `json:"until,omitzero"` // when time alone may change the answer

	Rules    []RuleFound `json:"rules"`
	Warnings []string    `json:"warnings"`
	Document string      `json:"document"` // as that watcher gets it; empty: none
}

// LogValue keeps what is told of somebody out of logs.
func (e Explanation) LogValue() slog.Value { return slog.StringValue(e.String()) }

// String tells the decision alone.
func (e Explanation) String() string { return e.Decision + " for a watcher of " + string(e.Presentity) }

// GoString is String.
func (e Explanation) GoString() string { return e.String() }

// RuleFound is what came of one rule.
type RuleFound struct {
	Name    string    `json:"name"`
	Matches bool      `json:"matches"`
	Why     string    `json:"why,omitempty"`  // why it does not match
	Adds    []string  `json:"adds,omitempty"` // what one that matches grants
	Until   time.Time `json:"until,omitzero"`
}

// RulesDiff is what a change of a document changes for watchers.
type RulesDiff struct {
	Presentity presence.Presentity `json:"presentity"`
	Compared   int                 `json:"compared"` // for how many it was asked
	LeftOut    int                 `json:"left_out"` // and for how many more it was not
	Changed    int                 `json:"changed"`  // for how many of them something changes
	Changes    []WatcherChange     `json:"changes"`  // what, one after the other
	Warnings   []string            `json:"warnings"` // of how it is after
}

// WatcherChange is what changes for one watcher, or for all of a kind.
type WatcherChange struct {
	// Kind is address; domain, whoever is not named, of that domain; others,
	// whoever is not named, of another; or unauthenticated.
	Kind        string       `json:"kind"`
	Watcher     presence.AOR `json:"watcher,omitempty"` // of address
	Domain      string       `json:"domain,omitempty"`  // of domain
	Live        bool         `json:"live"`              // watches, or waits
	From        time.Time    `json:"from,omitzero"`     // zero: now
	Until       time.Time    `json:"until,omitzero"`    // zero: until something else than time changes it
	Before      string       `json:"before"`            // the decision
	After       string       `json:"after"`
	Differences []Difference `json:"differences"`
}

// Difference is one thing that is gained or lost, in words.
type Difference struct {
	What   string `json:"what"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Gained bool   `json:"gained"` // else lost
}

// String says it in a sentence's worth of words.
func (d Difference) String() string { return policy.Difference(d).String() }

// WatcherList is who watches, and what the presentity is to be told of.
type WatcherList struct {
	Watchers []WatcherInfo `json:"watchers"`
	Notices  []NoticeInfo  `json:"notices"`
}

// WatcherInfo is one watcher as the presentity may know it.
type WatcherInfo struct {
	ID       string       `json:"id"`
	Watcher  presence.AOR `json:"watcher"`        // presence.Anonymous: it wants to be nameless
	Name     presence.AOR `json:"name,omitempty"` // of one who wants to be nameless: what to decide about it by
	State    string       `json:"state"`          // active, pending, waiting (for a decision, and gone), blocked
	Decision string       `json:"decision"`
	Told     string       `json:"told"`             // what it can take the decision for
	Reason   string       `json:"reason,omitempty"` // the rules that match; not of the nameless, whom they would name
	Since    time.Time    `json:"since"`
	Expires  time.Time    `json:"expires"`
}

// NoticeInfo is something that the presentity is to be told of.
type NoticeInfo struct {
	Time    time.Time    `json:"time"`
	Kind    string       `json:"kind"` // new-watcher, polling, override
	Watcher presence.AOR `json:"watcher"`
	Detail  string       `json:"detail,omitempty"`
	Again   uint32       `json:"again,omitempty"` // an override: how often in the hour after
	Last    *time.Time   `json:"last,omitempty"`  // when the last time was
}
