package presencetest

import (
	"strings"
	"time"

	"github.com/tacit-presence/tacit/sip"
)

// take is the user agent's inbox.
func (u *UA) take(flow sip.Flow, text string) {
	m := new(sip.Message)
	if err := m.Parse(text, sip.DefaultLimits); err != nil {
		u.w.T.Errorf("%s got a malformed message: %v\n%s", u.name, err, text)
		return
	}
	if !m.IsRequest() {
		u.takeResponse(m)
		return
	}
	if reply, ok := u.takeNotify(m); ok {
		u.w.net.toServer(flow, string(sip.AppendResponse(nil, m, reply)))
	}
}

func (u *UA) takeResponse(m *sip.Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := u.waiting[m.TopVia.Branch]
	switch {
	case r == nil || m.CSeq.Seq != r.seq || m.CallID != r.callID || m.From.Tag() != r.tag:
		u.w.T.Errorf("%s got an answer to nothing it asked:\n%s", u.name, m.AppendMessage(nil))
		return
	case m.Status < 200:
		return
	case m.Status > 100 && m.To.Tag() == "":
		u.w.T.Errorf("%s got an answer without To tag:\n%s", u.name, m.AppendMessage(nil)) // RFC 3261, 8.2.6.2
	}
	first := r.response == nil
	r.response = m
	if first && m.Status < 300 && r.done != nil {
		r.done(m)
	}
}

// takeNotify looks at a NOTIFY as a subscriber does and says how to answer; not
// at all without ok.
func (u *UA) takeNotify(m *sip.Message) (r sip.Reply, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if m.Method != sip.MethodNotify {
		u.w.T.Errorf("%s got a %s", u.name, m.Method)
		return sip.Reply{Status: 405}, true
	}
	n := u.seen[m.TopVia.Branch]
	if n == nil {
		n = &Notify{Msg: m, answer: u.nextAnswer()}
		u.seen[m.TopVia.Branch] = n
		if n.Dialog = u.dialog(m); n.Dialog == nil {
			n.answer = answer{status: 481}
		} else {
			u.check(n)
			u.notifies = append(u.notifies, n)
		}
	}
	n.At = append(n.At, time.Now())
	if u.muted {
		return r, false
	}
	return sip.Reply{Status: n.answer.status, Headers: n.answer.headers}, true
}

func (u *UA) nextAnswer() answer {
	if len(u.answers) == 0 {
		return answer{status: 200}
	}
	a := u.answers[0]
	u.answers = u.answers[1:]
	return a
}

// dialog finds the dialog of a NOTIFY. One whose SUBSCRIBE has no answer yet is
// known by its own half (RFC 6665, 4.4.1).
func (u *UA) dialog(m *sip.Message) *Dialog {
	for _, d := range u.dialogs {
		if d.callID == m.CallID && d.localTag == m.To.Tag() && !d.over {
			if d.remoteTag == "" {
				d.remoteTag = m.From.Tag()
			}
			if d.remoteTag == m.From.Tag() {
				return d
			}
		}
	}
	return nil
}

// check complains of a NOTIFY that breaks a rule which holds for all of them.
func (u *UA) check(n *Notify) {
	m, d := n.Msg, n.Dialog
	fault := func(what string) {
		u.w.T.Errorf("%s: NOTIFY %s:\n%s", u.name, what, m.AppendMessage(nil))
	}
	if m.CSeq.Seq <= d.heard {
		fault("with a CSeq not above the one before") // RFC 3261, 12.2.1.1
	}
	d.heard = m.CSeq.Seq
	if !d.strict && m.RequestURI != d.contact {
		fault("to " + m.RequestURI + " and not to our Contact " + d.contact)
	}
	if v, _ := m.Get(sip.HeaderEvent); v != d.event {
		fault("with Event " + v + " and not " + d.event)
	}
	if v, _ := m.Get(sip.HeaderContact); !strings.Contains(v, ";gr") {
		fault("without a GRUU as Contact") // RFC 6665, 4.5.1
	}
	v, _ := m.Get(sip.HeaderSubscriptionState)
	state, params := sip.SplitParams(v)
	_, expires := sip.HeaderParam(params, "expires")
	switch state {
	case "active", "pending":
		if !expires {
			fault("without expires") // RFC 6665, 4.2.2
		}
	case "terminated":
		d.over = true
	default:
		fault("with the state " + v)
	}
	if contentType, _ := m.Get(sip.HeaderContentType); (contentType != "") != (m.Body != "") {
		fault("with Content-Type " + contentType)
	}
	if state == "pending" && m.Body != "" {
		fault("that tells before it is allowed to")
	}
	d.State, d.Body = state, m.Body
}

// next takes the oldest NOTIFY that was not looked at; nil: there is none.
func (u *UA) next() *Notify {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.notifies) == 0 {
		return nil
	}
	n := u.notifies[0]
	u.notifies = u.notifies[1:]
	return n
}

// Drop forgets the NOTIFYs that were not looked at.
func (u *UA) Drop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.notifies = nil
}
