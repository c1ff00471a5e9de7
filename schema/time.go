package schema

import (
	"strings"
	"time"
)

// instant reads an xs:dateTime of a year of four digits. One without zone is
// taken as UTC, so that two of them compare.
func instant(s string) (time.Time, bool) {
	const form = "0000-00-00T00:00:00"
	if len(s) < len(form) {
		return time.Time{}, false
	}
	for i := range len(form) {
		if form[i] == '0' && (s[i] < '0' || s[i] > '9') || form[i] != '0' && s[i] != form[i] {
			return time.Time{}, false
		}
	}
	year, month, day := two(s)*100+two(s[2:]), two(s[5:]), two(s[8:])
	hour, minute, second := two(s[11:]), two(s[14:]), two(s[17:])
	nanos, rest, ok := fraction(s[len(form):])
	offset, zoned := zone(rest)
	if !ok || !zoned || year == 0 || month < 1 || month > 12 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	// The last moment of a day may be written as 24:00:00.
	if hour > 24 || hour == 24 && (minute != 0 || second != 0 || nanos != 0) {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if t.Day() != day {
		return time.Time{}, false
	}
	since := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	return t.Add(since + time.Duration(nanos) - offset), true
}

// two reads two digits.
func two(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }

// fraction cuts the fraction of a second off; digits after the ninth do not
// count.
func fraction(s string) (nanos int, rest string, ok bool) {
	if s == "" || s[0] != '.' {
		return 0, s, true
	}
	i := 1
	for unit := 100_000_000; i < len(s) && s[i] >= '0' && s[i] <= '9'; i, unit = i+1, unit/10 {
		nanos += int(s[i]-'0') * unit
	}
	return nanos, s[i:], i > 1
}

// zone reads what follows a time of day.
func zone(s string) (time.Duration, bool) {
	if s == "" || s == "Z" {
		return 0, true
	}
	if len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':' || !digits(s[1:3]) || !digits(s[4:]) {
		return 0, false
	}
	h, m := two(s[1:]), two(s[4:])
	if m > 59 || h > 14 || h == 14 && m > 0 {
		return 0, false
	}
	d := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	if s[0] == '-' {
		d = -d
	}
	return d, true
}

// minuteOfDay reads "HH:MM"; 24:00 only if late says so.
func minuteOfDay(s string, late bool) (int, bool) {
	if len(s) != len("00:00") || s[2] != ':' || !digits(s[:2]) || !digits(s[3:]) {
		return 0, false
	}
	h, m := two(s), two(s[3:])
	if m > 59 || h > 24 || h == 24 && (m > 0 || !late) {
		return 0, false
	}
	return h*60 + m, true
}

// isZoneName reports whether s has the form of a name of the IANA time zone
// database, such as Europe/Berlin. Whether there is such a zone is for whoever
// has the database.
func isZoneName(s string) bool {
	const longest = 64 // the database's longest name has 32
	if len(s) > longest || s == "" {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || !letter(part[0]) {
			return false
		}
		for i := range len(part) {
			if c := part[i]; !letter(c) && (c < '0' || c > '9') && c != '_' && c != '-' && c != '+' {
				return false
			}
		}
	}
	return true
}
