package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/agent"
	"github.com/tacit-presence/tacit/policy"
	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/watcherinfo"
	"github.com/tacit-presence/tacit/xcap"
)

const (
	// maxCompared bounds for how many watchers one change is compared: the named
	// ones of a big address book, and those who watch.
	maxCompared = 1000
	// maxWarnings bounds those of one comparison: a person reads fewer.
	maxWarnings = 32
)

// What the names of the operator's rules begin with, as policy has them, and what
// stands for such a name where it is not shown.
const (
	CeilingPrefix  = "ceiling/"
	OverridePrefix = "override/"
	operatorsRule  = "a rule of the operator's"
)

// desk is where questions about one presentity's rules are answered, on a running
// and on a stopped server, for the operator and for the presentity.
type desk struct {
	p       presence.Presentity
	privacy *Privacy
	trees   *xcap.Handler
	own     bool // the presentity itself asks
	// visit runs fn with the presentity's shard.
	visit func(fn func(a *agent.Shard, now time.Time)) error
}

// question is one as the asker may ask it.
func (d *desk) question(at time.Time, s *agent.Supposition) agent.Question {
	return agent.Question{At: at, Suppose: s, NoOverrides: d.own && !d.privacy.ShowOverrides}
}

// suppose reads a document that is asked about, held to what XCAP holds it to.
func (d *desk) suppose(in *DocumentInput) (*agent.Supposition, error) {
	if in == nil {
		return nil, nil
	}
	n := in.filled()
	if in.Absent {
		key, err := d.trees.Key(d.p, xcap.AUID(n.AUID), n.Name)
		if err != nil {
			return nil, documentError(err, n)
		}
		return &agent.Supposition{DocumentName: nameOf(key), Absent: true}, nil
	}
	key, err := d.trees.Check(d.p, xcap.AUID(n.AUID), n.Name, string(in.Body))
	if err != nil {
		return nil, documentError(err, n)
	}
	s := &agent.Supposition{DocumentName: nameOf(key), Body: string(in.Body)}
	if s.Meaning, err = agent.ReadMeaning(s.DocumentName, s.Body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s, nil
}

// documentError names xcap's errors as Admin's.
func documentError(err error, n DocumentName) error {
	what := n.AUID + "/" + n.Name
	if c, ok := errors.AsType[*xcap.Conflict](err); ok {
		return fmt.Errorf("%w: %s: %w", ErrInvalid, what, c)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, xcap.ErrNotFound):
		return fmt.Errorf("%w: no document %s", ErrNoSuch, what)
	case errors.Is(err, xcap.ErrUsage), errors.Is(err, xcap.ErrURI), errors.Is(err, xcap.ErrTooLarge), errors.Is(err, xcap.ErrTooMany):
		return fmt.Errorf("%w: %s: %w", ErrInvalid, what, err)
	case errors.Is(err, xcap.ErrDamaged):
		return fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// explain says what a watcher gets, and why.
func (d *desk) explain(q ExplainQuery) (Explanation, error) {
	s, err := d.suppose(q.AsIf)
	if err != nil {
		return Explanation{}, err
	}
	var answer *agent.Answer
	err = d.visit(func(a *agent.Shard, now time.Time) {
		if q.At.IsZero() {
			q.At = now
		}
		answer = a.Ask(d.p, a.Supposed(d.p, q.Watcher, !d.own), d.question(q.At, s))
	})
	if err != nil {
		return Explanation{}, err
	}
	e := answer.Explain()
	out := Explanation{
		Presentity: d.p, Watcher: q.Watcher, At: q.At, Decision: e.Decision.Handling.String(), Reason: e.Decision.Matched,
		Concealed: e.Concealed, Told: told(e.Decision, e.Concealed), Permissions: e.Decision.Permissions.Words(),
		Capped: d.operators(e.Decision.Capped), Raised: d.operators(e.Decision.Raised), Until: e.Decision.Until.UTC(),
		Rules: []RuleFound{}, Warnings: append([]string{}, e.Warnings...), Document: e.Document,
	}
	for _, r := range e.Rules {
		if !d.shows(r.Name) {
			continue
		}
		out.Rules = append(out.Rules, RuleFound{Name: r.Name, Matches: r.Matched, Why: r.Failed, Adds: r.Adds, Until: r.Until.UTC()})
	}
	return out, nil
}

// told is the handling that a watcher can take a decision for.
func told(d policy.Decision, concealed bool) string {
	if concealed {
		d = d.Concealed()
	}
	return d.Handling.String()
}

// shows reports whether the asker may see a rule.
func (d *desk) shows(name string) bool {
	operators := strings.HasPrefix(name, CeilingPrefix) || strings.HasPrefix(name, OverridePrefix)
	return !operators || !d.own || d.privacy.ShowOperatorRules
}

// operators are the names of the operator's rules as far as the asker may see them.
func (d *desk) operators(names string) string {
	if names == "" || !d.own || d.privacy.ShowOperatorRules {
		return names
	}
	return operatorsRule
}

// compare says who gains and loses what by a document.
func (d *desk) compare(ctx context.Context, in DocumentInput) (RulesDiff, error) {
	out := RulesDiff{Presentity: d.p, Changes: []WatcherChange{}, Warnings: []string{}}
	s, err := d.suppose(&in)
	if err != nil {
		return out, err
	}
	var c *agent.Comparer
	err = d.visit(func(a *agent.Shard, now time.Time) { c = a.Comparer(d.p, d.question(now, s), !d.own) })
	if err != nil {
		return out, err
	}
	subjects := c.Subjects()
	if out.LeftOut = len(subjects) - maxCompared; out.LeftOut > 0 {
		// Those who watch are there now: they first.
		slices.SortStableFunc(subjects, func(x, y agent.Subject) int { return cmp.Compare(importance(x), importance(y)) })
		subjects = subjects[:maxCompared]
	}
	out.LeftOut, out.Compared = max(out.LeftOut, 0), len(subjects)
	whole := true
	for _, subject := range subjects {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		one := c.Compare(subject)
		later, all := c.Later(&one)
		whole = whole && all
		count := len(out.Changes)
		out.add(&one, time.Time{})
		for i := range later {
			out.add(&later[i], later[i].From)
		}
		if len(out.Changes) > count {
			out.Changed++
		}
	}
	if !whole {
		out.Warnings = append(out.Warnings, "what time changes later on was not compared for all of them")
	}
	return out, nil
}

// importance orders subjects of whom there are too many.
func importance(s agent.Subject) int {
	switch {
	case s.Kind != agent.SubjectAddress:
		return 0
	case s.Live:
		return 1
	}
	return 2
}

// add takes what changes from a time on, zero for now.
func (r *RulesDiff) add(c *agent.Comparison, from time.Time) {
	for _, w := range c.Warnings {
		if len(r.Warnings) < maxWarnings && !slices.Contains(r.Warnings, w) {
			r.Warnings = append(r.Warnings, w)
		}
	}
	if len(c.Differences) == 0 {
		return
	}
	change := WatcherChange{
		Kind: string(c.Kind), Domain: c.Domain, Live: c.Live, From: from, Until: c.Until,
		Before: c.Before.Handling.String(), After: c.After.Handling.String(),
	}
	if c.Kind == agent.SubjectAddress {
		change.Watcher = c.Who.AOR()
	}
	for _, x := range c.Differences {
		change.Differences = append(change.Differences, Difference(x))
	}
	r.Changes = append(r.Changes, change)
}

// watchers lists who watches, as the presentity may know them.
func (d *desk) watchers() (WatcherList, error) {
	out := WatcherList{Watchers: []WatcherInfo{}, Notices: []NoticeInfo{}}
	err := d.visit(func(a *agent.Shard, now time.Time) {
		for _, w := range a.Watching(d.p, d.question(now, nil)) {
			info := WatcherInfo{
				ID: w.ID, Watcher: w.AOR, State: w.Status.String(), Decision: w.Decision.Handling.String(),
				Told: told(w.Decision, w.Concealed), Reason: w.Decision.Matched, Since: w.Since, Expires: w.Expires,
			}
			if w.Status == watcherinfo.Terminated {
				info.State = "blocked"
			}
			if w.Private {
				info.Watcher = presence.Anonymous
				info.Name, _ = presence.ParseNameless(w.ID)
				if info.Reason != string(info.Name) {
					info.Reason = ""
				}
			}
			out.Watchers = append(out.Watchers, info)
		}
		slices.SortFunc(out.Watchers, func(x, y WatcherInfo) int {
			return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.ID, y.ID))
		})
		for _, n := range a.Notices(d.p) {
			if n.Kind == agent.NoticeOverride {
				if d.own && !d.privacy.ShowOverrides {
					continue
				}
				n.Detail = d.operators(n.Detail)
			}
			info := NoticeInfo{
				Time: time.Unix(0, n.Time).UTC(), Kind: string(n.Kind), Watcher: n.Watcher, Detail: n.Detail, Again: n.Again,
			}
			if n.Last != 0 {
				last := time.Unix(0, n.Last).UTC()
				info.Last = &last
			}
			out.Notices = append(out.Notices, info)
		}
	})
	return out, err
}

func (d *desk) documents(ctx context.Context) ([]DocumentInfo, error) {
	entries, err := d.trees.List(ctx, d.p)
	list := []DocumentInfo{}
	for _, e := range entries {
		name, unescapeErr := url.PathUnescape(e.Key.Path)
		if unescapeErr != nil {
			name = e.Key.Path
		}
		list = append(list, DocumentInfo{AUID: string(e.Key.AUID), Name: name, ETag: e.ETag, Size: e.Size, Modified: e.Modified})
	}
	return list, err
}

func (d *desk) document(ctx context.Context, n DocumentName) (string, error) {
	n = n.filled()
	doc, err := d.trees.Get(ctx, d.p, xcap.AUID(n.AUID), n.Name)
	return doc.Body, documentError(err, n)
}

func (d *desk) put(ctx context.Context, in DocumentInput) error {
	n := in.filled()
	_, err := d.trees.Put(ctx, d.p, xcap.AUID(n.AUID), n.Name, string(in.Body))
	return documentError(err, n)
}

func (d *desk) remove(ctx context.Context, n DocumentName) error {
	n = n.filled()
	return documentError(d.trees.Delete(ctx, d.p, xcap.AUID(n.AUID), n.Name), n)
}
