package policy

import (
	"strings"
	"time"
)

// timed is a condition that time changes: one of its fields is set.
type timed struct {
	validity  []period
	recurring *recurring
}

// at reports whether the condition holds, and the next instant at which that may
// be otherwise, zero if there is none.
func (t *timed) at(now time.Time) (holds bool, next time.Time) {
	if t.recurring != nil {
		return t.recurring.holds(now), t.recurring.next(now)
	}
	for _, p := range t.validity {
		holds = holds || !now.Before(p.from) && now.Before(p.until)
		for _, edge := range [...]time.Time{p.from, p.until} {
			if p.from.Before(p.until) && edge.After(now) && (next.IsZero() || edge.Before(next)) {
				next = edge
			}
		}
	}
	return holds, next
}

// clock remembers how long what was found of recurring conditions is true: they
// are the same for all watchers, and the calendar takes its time. A nil one
// remembers nothing.
type clock map[*recurring]stretch

// stretch is a time in which a condition holds, or does not.
type stretch struct {
	from, until time.Time
	holds       bool
}

func (c clock) at(t *timed, now time.Time) (holds bool, next time.Time) {
	if s, ok := c[t.recurring]; ok && t.recurring != nil && !now.Before(s.from) && (s.until.IsZero() || now.Before(s.until)) {
		return s.holds, s.until
	}
	holds, next = t.at(now)
	if c != nil && t.recurring != nil {
		c[t.recurring] = stretch{now, next, holds}
	}
	return holds, next
}

// period is a pair of <from> and <until>: from included, until not (RFC 4745, 7.4).
type period struct{ from, until time.Time }

// A time without zone may be that of any (XML Schema part 2, 3.2.7.4): it is
// compared as that zone's in which the condition holds least.
const (
	laterZone   = +14 * time.Hour // for the start: the zone farthest west
	earlierZone = -14 * time.Hour
)

// instant reads an xs:dateTime; unzoned is added to one without zone.
func instant(s string, unzoned time.Duration) (time.Time, bool) {
	s = trimSpace(s)
	if strings.IndexByte(s, ',') >= 0 { // package time takes it for a point
		return time.Time{}, false
	}
	midnight := time.Duration(0)
	if before, after, ok := strings.Cut(s, "T24:00:00"); ok {
		rest := strings.TrimLeft(strings.TrimPrefix(after, "."), "0")
		if rest != "" && strings.IndexByte("Z+-", rest[0]) < 0 {
			return time.Time{}, false
		}
		s, midnight = before+"T00:00:00"+rest, 24*time.Hour
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		if t, err = time.Parse("2006-01-02T15:04:05.999999999", s); err != nil {
			return time.Time{}, false
		}
		midnight += unzoned
	}
	return t.Add(midnight), true
}

const (
	minutesOfDay = 24 * 60
	allDays      = 1<<7 - 1
)

// minuteOfDay reads HH:MM up to 24:00.
func minuteOfDay(s string) (int, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	for _, i := range [...]int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	hour, minute := int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	m := hour*60 + minute
	return m, minute < 60 && m <= minutesOfDay
}

// zone resolves the name of a zone, nil if there is none of that name. "Local" is
// where the server stands, which no rule knows.
func (r *ruleReader) zone(name string) *time.Location {
	switch {
	case name == "UTC":
		return time.UTC
	case r.zones == nil || name == "" || name == "Local" || len(name) > maxZone:
		return nil
	}
	for i := range len(name) {
		if c := name[i]; !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("/_+-", c) >= 0) {
			return nil
		}
	}
	return r.zones(name)
}

// maxZone bounds the name of a zone; the longest has 32 bytes.
const maxZone = 64

// recurring is Tacit's condition of days and hours. It holds while the clock on
// the wall in its zone shows a time from from, included, until until on one of
// the days; where until is not after from, until then on the day after. So of an
// hour that a clock skips nothing is left, and in one that it repeats the
// condition holds twice, or ends and holds once more.
type recurring struct {
	days        uint8 // bits by time.Weekday
	from, until int   // minutes of the day; until at most minutesOfDay
	zone        *time.Location
}

func (c *recurring) on(d time.Weekday) bool { return c.days&(1<<((d+7)%7)) != 0 }

func (c *recurring) holds(now time.Time) bool {
	t := now.In(c.zone)
	hour, minute, _ := t.Clock()
	m, day := hour*60+minute, t.Weekday()
	if c.from < c.until {
		return c.on(day) && m >= c.from && m < c.until
	}
	return c.on(day) && m >= c.from || c.on(day-1) && m < c.until
}

// maxEdges bounds the search of next: a week has three edges a day, and a
// change of the clock now and then.
const maxEdges = 32

// next returns the next instant at which the condition changes, zero for never.
// Between changes of the zone's clock the wall's time goes on evenly, so it is
// enough to look at the clock's changes and at each from, until and midnight.
func (c *recurring) next(now time.Time) time.Time {
	if c.days == allDays && c.until-c.from == minutesOfDay {
		return time.Time{}
	}
	was, t := c.holds(now), now.In(c.zone)
	for range maxEdges {
		hour, minute, second := t.Clock()
		m, best := hour*60+minute, minutesOfDay
		for _, edge := range [...]int{c.from, c.until} {
			if edge > m && edge < best {
				best = edge
			}
		}
		edge := t.Add(time.Duration(best-m)*time.Minute - time.Duration(second)*time.Second - time.Duration(t.Nanosecond()))
		if _, change := t.ZoneBounds(); !change.IsZero() && change.Before(edge) {
			edge = change.In(c.zone)
		}
		if c.holds(edge) != was {
			return edge
		}
		t = edge
	}
	return t
}
