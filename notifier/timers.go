package notifier

// timerSlot is a subscription's place in the heap of deadlines.
type timerSlot struct {
	at  int64 // Unix nanoseconds; 0: none
	pos int   // index in the heap plus one; 0: not in it
}

// timers is a binary heap of subscriptions by deadline. A subscription has one
// deadline, the earliest of all it waits for.
type timers struct{ heap []*Subscription }

// next is the earliest deadline; 0: none.
func (t *timers) next() int64 {
	if len(t.heap) == 0 {
		return 0
	}
	return t.heap[0].timer.at
}

// set moves s to a new deadline; 0 takes it out.
func (t *timers) set(s *Subscription, at int64) {
	if at == 0 {
		t.remove(s)
		return
	}
	old := s.timer.at
	s.timer.at = at
	if s.timer.pos == 0 {
		t.heap = append(t.heap, s)
		s.timer.pos = len(t.heap)
		t.up(len(t.heap) - 1)
		return
	}
	if i := s.timer.pos - 1; at < old {
		t.up(i)
	} else if at > old {
		t.down(i)
	}
}

func (t *timers) remove(s *Subscription) {
	if s.timer.pos == 0 {
		return
	}
	i, last := s.timer.pos-1, len(t.heap)-1
	t.swap(i, last)
	t.heap[last] = nil
	t.heap = t.heap[:last]
	s.timer = timerSlot{}
	if i < last {
		t.up(i)
		t.down(i)
	}
}

func (t *timers) swap(i, j int) {
	h := t.heap
	h[i], h[j] = h[j], h[i]
	h[i].timer.pos, h[j].timer.pos = i+1, j+1
}

func (t *timers) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].timer.at <= t.heap[i].timer.at {
			return
		}
		t.swap(i, parent)
		i = parent
	}
}

func (t *timers) down(i int) {
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(t.heap) && t.heap[c].timer.at < t.heap[least].timer.at {
				least = c
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}
