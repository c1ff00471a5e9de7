package pidf

import "strings"

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// trim removes XML's white space around s.
func trim(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// thousandths reads a priority: a decimal from 0 to 1 with at most three digits
// after the point (RFC 3863, 4.1.5).
func thousandths(s string) (int16, bool) {
	whole, fraction, _ := strings.Cut(trim(s), ".")
	if whole != "0" && whole != "1" || len(fraction) > 3 {
		return 0, false
	}
	v := int16(whole[0]-'0') * 1000
	for i, unit := 0, int16(100); i < len(fraction); i, unit = i+1, unit/10 {
		if fraction[i] < '0' || fraction[i] > '9' {
			return 0, false
		}
		v += int16(fraction[i]-'0') * unit
	}
	return v, v <= 1000
}

// isDateTime reports whether s is an xs:dateTime of a year of four digits, which
// RFC 3339's are; the zone may lack, as the schemas allow.
func isDateTime(s string) bool {
	const form = "0000-00-00T00:00:00"
	if len(s) < len(form) {
		return false
	}
	for i := range len(form) {
		if form[i] == '0' && (s[i] < '0' || s[i] > '9') || form[i] != '0' && s[i] != form[i] {
			return false
		}
	}
	month, day := two(s[5:]), two(s[8:])
	if month < 1 || month > 12 || day < 1 || day > daysIn(month, two(s)*100+two(s[2:])) ||
		two(s[11:]) > 23 || two(s[14:]) > 59 || two(s[17:]) > 59 {
		return false
	}
	return isZone(skipFraction(s[len(form):]))
}

// two reads two digits.
func two(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }

func daysIn(month, year int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// skipFraction cuts a fraction of a second off; a bare point stays.
func skipFraction(s string) string {
	i := 1
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 1 || s[0] != '.' {
		return s
	}
	return s[i:]
}

func isZone(s string) bool {
	switch {
	case s == "" || s == "Z":
		return true
	case len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':':
		return false
	}
	for _, i := range [...]int{1, 2, 4, 5} {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	h, m := two(s[1:]), two(s[4:])
	return m <= 59 && (h < 14 || h == 14 && m == 0) // the most that xs:dateTime has
}
