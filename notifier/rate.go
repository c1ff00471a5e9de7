package notifier

import (
	"strconv"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

const (
	// fastest is the most often that a watcher can have a NOTIFY though nothing
	// changes: more would be load for nothing (RFC 6446, 6.3 and 7.3).
	fastest = 100 * time.Millisecond
	// longest stands for any longer time: several of it fit in 64 bits.
	longest = time.Duration(1 << 58)
	// fastestRate is the largest that the grammar can tell (RFC 6446, 9.2).
	fastestRate = 99
	// adaptivePeriod is the period of RFC 6446, 7.4 as a multiple of the adaptive
	// rate's reciprocal: several times, as it recommends.
	adaptivePeriod = 10
	// maxHistory bounds how many NOTIFYs of a period are remembered; more make the
	// timeout no longer than this many do.
	maxHistory = 100
)

// rates are what a watcher asks of the pace of its NOTIFYs (RFC 6446), as far as
// it gets it. The zero value asks for nothing.
type rates struct {
	shown    string        // the parameters of Subscription-State
	least    time.Duration // between two NOTIFYs, from max-rate
	most     time.Duration // from min-rate; 0: however long
	adaptive float64       // adaptive-min-rate; 0: none
	sent     []int64       // when NOTIFYs went, within the adaptive period
}

// rateNames are the parameters, in the order in which they are shown.
var rateNames = [...]string{"max-rate", "min-rate", "adaptive-min-rate"}

// readRates reads the parameters of an Event header field. ok is false where one
// is no number of its grammar (RFC 6446, 9.2).
func readRates(params string) (values [len(rateNames)]float64, any, ok bool) {
	for i, name := range rateNames {
		text, there := sip.HeaderParam(params, name)
		if !there {
			continue
		}
		v, valid := rate(text)
		if !valid {
			return values, false, false
		}
		values[i], any = v, true
	}
	return values, any, true
}

// rate reads 1*2DIGIT ["." 1*10DIGIT], without zero.
func rate(text string) (float64, bool) {
	whole, fraction, point := strings.Cut(text, ".")
	if len(whole) < 1 || len(whole) > 2 || point && (len(fraction) < 1 || len(fraction) > 10) || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && v > 0
}

// setRates makes of what a watcher asks what it gets: no faster than the server's
// own floor, no slower than it wants, and in the order that RFC 6446, 8 demands.
func (t *Table) setRates(s *Subscription, want [len(rateNames)]float64, any bool, now int64) {
	if !any {
		if s.extra != nil {
			s.extra.rates = rates{}
		}
		return
	}
	highest := 1 / max(t.cfg.MinInterval, fastest).Seconds()
	top, bottom, adaptive := want[0], want[1], want[2]
	if top > 0 && t.cfg.MinInterval > 0 {
		top = min(top, highest)
	}
	if left := s.expires - now; top > 0 && left > 0 {
		top = max(top, min(1/time.Duration(left).Seconds(), fastestRate)) // RFC 6446, 5.3
	}
	limit := highest
	if top > 0 {
		limit = min(limit, top)
	}
	bottom, adaptive = min(bottom, limit), min(adaptive, limit)
	if adaptive > 0 && bottom >= adaptive {
		bottom = 0 // RFC 6446, 8: then it must not be considered
	}
	r := rates{adaptive: adaptive}
	if top > 0 {
		r.least = reciprocal(top)
	}
	if bottom > 0 {
		r.most = reciprocal(bottom)
	}
	var b strings.Builder
	for i, v := range [...]float64{top, bottom, adaptive} {
		if v > 0 {
			b.WriteByte(';')
			b.WriteString(rateNames[i])
			b.WriteByte('=')
			b.WriteString(formatRate(v))
		}
	}
	r.shown = b.String()
	if adaptive > 0 {
		// RFC 6446, 7.2: as if as many as are wanted had been sent.
		for i := range int64(adaptivePeriod) {
			r.sent = append(r.sent, now-(adaptivePeriod-1-i)*int64(reciprocal(adaptive)))
		}
	}
	s.more().rates = r
}

func reciprocal(v float64) time.Duration {
	return time.Duration(min(float64(time.Second)/v, float64(longest)))
}

// formatRate writes a rate as its grammar wants it.
func formatRate(v float64) string {
	text := strconv.FormatFloat(v, 'f', 10, 64)
	text = strings.TrimRight(text, "0")
	return strings.TrimSuffix(text, ".")
}

// noted counts a NOTIFY for the adaptive rate (RFC 6446, 7.2).
func (r *rates) noted(now int64) {
	if r.adaptive == 0 {
		return
	}
	if len(r.sent) >= maxHistory {
		r.sent = append(r.sent[:0], r.sent[1:]...)
	}
	r.sent = append(r.sent, now)
}

// silence is how long after a NOTIFY the next one goes though nothing has
// changed; 0: never.
func (r *rates) silence(now int64) time.Duration {
	if r.adaptive == 0 {
		return r.most
	}
	period := adaptivePeriod / r.adaptive // seconds
	from := now - int64(min(period*float64(time.Second), float64(adaptivePeriod*longest)))
	count := 0
	for _, at := range r.sent {
		if at > from {
			count++
		}
	}
	// RFC 6446, 7.4, equations 1 and 2.
	timeout := time.Duration(min(float64(count)/(r.adaptive*r.adaptive*period)*float64(time.Second), float64(longest)))
	timeout = max(timeout, r.least, fastest)
	if r.most > 0 {
		timeout = min(timeout, r.most)
	}
	return timeout
}

// repeatAt is when s gets a NOTIFY though nothing has changed; 0: never.
func (s *Subscription) repeatAt() int64 {
	if s.extra != nil && s.extra.retry != 0 && !s.detached && s.state != Terminated {
		return s.extra.retry
	}
	if s.extra == nil || s.state != Active || s.lastNotify == 0 || s.detached || s.extra.suppress != (condition{}) {
		return 0 // RFC 6446, 6.2: what RFC 5839 suppresses stays suppressed
	}
	if wait := s.extra.rates.silence(s.lastNotify); wait > 0 {
		return s.lastNotify + int64(wait)
	}
	return 0
}
