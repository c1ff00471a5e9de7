package sip

import "time"

// ClientTx is a non-INVITE client transaction's timer state (RFC 3261,
// 17.1.2), by value, no allocation. The caller keeps the request and sends it.
type ClientTx struct {
	Started  time.Time
	Next     time.Time // next deadline: timer E or F; zero: none
	interval time.Duration
}

// ClientAction is what a deadline of ClientTx asks for.
type ClientAction uint8

// The actions.
const (
	ClientNothing    ClientAction = iota
	ClientRetransmit              // timer E: send the request again
	ClientTimeout                 // timer F: treat it as a 408; nothing follows
)

// Start sets timers E and F as the request is sent; over a reliable transport
// F alone.
func (c *ClientTx) Start(now time.Time, reliable bool, t Timers) {
	c.Started = now
	c.interval = t.T1
	if reliable {
		c.interval = 0
	}
	c.arm(now, t)
}

// Provisional notes a provisional response: from now on timer E is reset to T2.
// RFC 3261, 17.1.2.2: the E that is running is not touched.
func (c *ClientTx) Provisional(_ time.Time, t Timers) {
	if c.interval != 0 {
		c.interval = t.T2
	}
}

// Tick says what to do at now and sets Next. Deadlines missed count as one.
func (c *ClientTx) Tick(now time.Time, t Timers) ClientAction {
	switch {
	case c.Next.IsZero() || now.Before(c.Next):
		return ClientNothing
	case !now.Before(c.timeout(t)):
		c.Next = time.Time{}
		return ClientTimeout
	}
	c.interval = min(2*c.interval, t.T2)
	c.arm(now, t)
	return ClientRetransmit
}

// timeout is when timer F fires.
func (c *ClientTx) timeout(t Timers) time.Time { return c.Started.Add(timeoutFactor * t.T1) }

// arm sets Next to the earlier one of timers E and F.
func (c *ClientTx) arm(now time.Time, t Timers) {
	c.Next = c.timeout(t)
	if e := now.Add(c.interval); c.interval != 0 && e.Before(c.Next) {
		c.Next = e
	}
}
