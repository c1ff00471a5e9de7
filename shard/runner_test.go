package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/sip"
	"github.com/tacit-presence/tacit/store"
)

// fake is a machine that remembers what it was told.
type fake struct {
	id       ID
	mu       sync.Mutex
	events   []Event
	ticks    []time.Time
	deadline time.Time
}

func (f *fake) Step(ev *Event, now time.Time, _ *Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, *ev)
	if ev.Kind == Tick {
		f.ticks = append(f.ticks, now)
		f.deadline = time.Time{}
	}
}

func (f *fake) told() []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.events)
}

func (f *fake) ticked() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ticks)
}

func (f *fake) Deadline() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.deadline
}

// recorder is a Sender.
type recorder struct {
	mu      sync.Mutex
	sent    []string
	outcome Outcome
}

func (r *recorder) Send(_ *Send, message []byte) Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, string(message))
	return r.outcome
}

// SendRun takes runs as long as all goes well, and shows where they were.
func (r *recorder) SendRun(_ []Send, messages []byte, size int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outcome != Sent {
		return false
	}
	r.sent = append(r.sent, fmt.Sprintf("%d:%s", size, messages))
	return true
}

func (r *recorder) set(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcome = o
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sent)
}

// setup is a runner in a bubble.
type setup struct {
	*Runner
	store    *store.Memory
	sender   recorder
	machines [Count]*fake
	failures atomic.Int64
}

func newSetup(workers int) *setup {
	s := &setup{store: store.NewMemory()}
	s.Runner = NewRunner(Config{
		Workers: workers, Store: s.store, Sender: &s.sender,
		Machine: func(id ID) Machine { s.machines[id] = &fake{id: id}; return s.machines[id] },
		Failed:  func(error) { s.failures.Add(1) },
	})
	return s
}

// tell queues an event that stores a record, if key is not empty, and sends text.
func (s *setup) tell(id ID, key, text string) bool {
	return s.Submit(Event{Kind: Call, ID: id, Do: func(_ Machine, _ time.Time, out *Batch) {
		if key != "" {
			out.Records.Put([]byte(key), []byte(text))
		}
		out.Add(Send{ID: id}, append(out.Buffer(), text...))
	}})
}

func bubble(t *testing.T, workers int, fn func(t *testing.T, s *setup)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(workers)
		s.Start()
		fn(t, s)
		s.store.Release()
		s.Stop()
	})
}

func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	t.Parallel()
	bubble(t, 2, func(t *testing.T, s *setup) {
		s.store.Hold()
		s.tell(0, "a", "one")
		s.tell(0, "", "two") // without a record, but after one that has
		s.tell(2, "b", "three")
		s.tell(1, "", "other worker")
		synctest.Wait()
		if got := s.sender.all(); !slices.Equal(got, []string{"other worker"}) {
			t.Fatalf("sent before it is durable: %q", got)
		}
		s.store.Release()
		synctest.Wait()
		if got := s.sender.all(); !slices.Equal(got, []string{"other worker", "one", "two", "three"}) {
			t.Fatalf("sent %q", got)
		}
	})
}

func TestDoReturnsWhenDurable(t *testing.T) {
	t.Parallel()
	bubble(t, 1, func(t *testing.T, s *setup) {
		s.store.Hold()
		var done atomic.Bool
		go func() {
			err := s.Do(t.Context(), 7, func(m Machine, _ time.Time, out *Batch) {
				if m.(*fake).id != 7 {
					t.Error("the wrong machine")
				}
				out.Records.Put([]byte("k"), nil)
			})
			if err != nil {
				t.Error(err)
			}
			done.Store(true)
		}()
		synctest.Wait()
		if done.Load() {
			t.Error("Do returned before its record was durable")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.Do(ctx, 7, func(Machine, time.Time, *Batch) {})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("behind a record that is not durable, Do gives %v", err)
		}
		s.store.Release()
		synctest.Wait()
		if !done.Load() {
			t.Error("Do has not returned")
		}
	})
}

// Who has been told that his call was in vain is not surprised by it later, and
// nothing is written under his hands.
func TestDoIsOverWhenItReturns(t *testing.T) {
	t.Parallel()
	s := newSetup(1)
	s.Start()
	defer s.Stop()
	begun, busy := make(chan struct{}), make(chan struct{})
	go s.Submit(Event{Kind: Call, Do: func(Machine, time.Time, *Batch) { close(begun); <-busy }})
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false // without a lock: the race detector looks on
	if err := s.Do(ctx, 0, func(Machine, time.Time, *Batch) { ran = true }); !errors.Is(err, context.Canceled) {
		t.Errorf("Do gives %v", err)
	}
	close(busy)
	if err := s.Do(t.Context(), 0, func(Machine, time.Time, *Batch) {}); err != nil {
		t.Error(err)
	}
	if ran {
		t.Error("a call ran after its caller was told that it had been in vain")
	}
}

func TestFailedStore(t *testing.T) {
	t.Parallel()
	bubble(t, 2, func(t *testing.T, s *setup) {
		s.store.Fault = func(op string) error { return errors.New(op) }
		s.tell(0, "a", "one")
		s.tell(0, "", "two")
		s.tell(1, "", "three")
		synctest.Wait()
		s.tell(1, "", "four")
		s.tell(3, "b", "five")
		if err := s.Do(t.Context(), 0, func(Machine, time.Time, *Batch) {}); !errors.Is(err, ErrStopped) {
			t.Errorf("Do gives %v", err)
		}
		synctest.Wait()
		for _, text := range s.sender.all() {
			if text != "three" { // it had left before
				t.Errorf("%s was sent although nothing is stored any more", text)
			}
		}
		if n := s.failures.Load(); n != 1 {
			t.Errorf("Failed was called %d times", n)
		}
	})
}

func TestStopDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(2)
		s.Start()
		s.store.Hold()
		for i := range 10 {
			s.tell(ID(i), fmt.Sprint(i), fmt.Sprint(i))
		}
		var stopped atomic.Bool
		go func() { s.Stop(); stopped.Store(true) }()
		time.Sleep(time.Second)
		if stopped.Load() {
			t.Error("Stop returned before what was queued was durable")
		}
		s.store.Release()
		time.Sleep(time.Second)
		if !stopped.Load() || len(s.sender.all()) != 10 {
			t.Errorf("stopped: %t, sent %d", stopped.Load(), len(s.sender.all()))
		}
		s.Stop() // again does nothing
		if err := s.Do(t.Context(), 0, func(Machine, time.Time, *Batch) {}); err != nil && !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
	})
}

// Stop must not wait for acknowledgements that will never come.
func TestStopAfterFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(1)
		s.Start()
		s.store.Hold()
		s.tell(0, "a", "one")
		var stopped atomic.Bool
		go func() { s.Stop(); stopped.Store(true) }()
		time.Sleep(time.Second)
		s.store.Crash()
		time.Sleep(time.Second)
		if !stopped.Load() || len(s.sender.all()) != 0 {
			t.Errorf("stopped: %t, sent %q", stopped.Load(), s.sender.all())
		}
	})
}

func TestTicks(t *testing.T) {
	t.Parallel()
	bubble(t, 2, func(t *testing.T, s *setup) {
		begin := time.Now()
		set := func(id ID, after time.Duration) {
			s.Submit(Event{Kind: Call, ID: id, Do: func(m Machine, now time.Time, _ *Batch) {
				f := m.(*fake)
				f.mu.Lock()
				f.deadline = now.Add(after)
				f.mu.Unlock()
			}})
		}
		set(4, 30*time.Minute)
		set(6, 500*time.Millisecond)
		set(5, time.Second)
		synctest.Wait()
		set(8, 100*time.Millisecond) // earlier than what the worker sleeps for
		time.Sleep(2 * time.Hour)
		for id, want := range map[ID]time.Duration{4: 30 * time.Minute, 6: 500 * time.Millisecond, 5: time.Second, 8: 100 * time.Millisecond} {
			got := s.machines[id].ticked()
			if len(got) != 1 || got[0].Sub(begin) < want || got[0].Sub(begin) > want+granularity {
				t.Errorf("machine %d, due after %v, ticked at %v", id, want, got)
			}
		}
		for _, m := range s.machines {
			if n := len(m.ticked()); n > 1 {
				t.Errorf("machine %d ticked %d times", m.id, n)
			}
		}
	})
}

// What a restored machine is to do comes before any event.
func TestTickBeforeFirstEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(1)
		s.machines[3].deadline = time.Unix(0, 1)
		s.workers[0].lower(s.machines[3].deadline)
		s.Submit(Event{Kind: FlowGone, ID: 3})
		s.Start()
		synctest.Wait()
		s.Stop()
		if ev := s.machines[3].told(); len(ev) != 2 || ev[0].Kind != Tick || ev[1].Kind != FlowGone {
			t.Errorf("%v", ev)
		}
	})
}

func TestGoneFlow(t *testing.T) {
	t.Parallel()
	bubble(t, 2, func(t *testing.T, s *setup) {
		flow := sip.Flow{Transport: sip.TransportTCP, Conn: 9}
		s.sender.set(Gone)
		s.Submit(Event{Kind: Call, ID: 5, Do: func(_ Machine, _ time.Time, out *Batch) {
			out.Add(Send{ID: 5, Flow: flow, Answer: true}, append(out.Buffer(), "an answer"...))
			out.Add(Send{ID: 5, Flow: flow}, append(out.Buffer(), "a request"...))
		}})
		synctest.Wait()
		s.sender.set(Full)
		s.Submit(Event{Kind: Call, ID: 5, Do: func(_ Machine, _ time.Time, out *Batch) {
			out.Add(Send{ID: 5, Flow: flow, Dialog: [12]byte{5, 1}}, append(out.Buffer(), "a request"...))
		}})
		synctest.Wait()
		s.sender.set(Oversize)
		s.Submit(Event{Kind: Call, ID: 5, Do: func(_ Machine, _ time.Time, out *Batch) {
			out.Add(Send{ID: 5, Flow: flow, Answer: true}, append(out.Buffer(), "an answer"...))
			out.Add(Send{ID: 5, Flow: flow, Dialog: [12]byte{5, 2}}, append(out.Buffer(), "a request"...))
		}})
		synctest.Wait()
		ev := s.machines[5].told()
		if len(ev) != 3 || ev[2].Kind != TooLarge || ev[2].Dialog != [12]byte{5, 2} || ev[0].Kind != FlowGone || ev[0].Flow != flow ||
			ev[1].Kind != Undelivered || ev[1].Dialog != [12]byte{5, 1} {
			t.Errorf("%v", ev)
		}
	})
}

func TestFullQueue(t *testing.T) {
	t.Parallel()
	s := newSetup(2) // not started, so that nothing is taken
	ev := Event{Kind: FlowGone, ID: 2}
	for range maxQueue {
		if !s.Submit(ev) {
			t.Fatal("refused too early")
		}
	}
	if s.Submit(ev) {
		t.Error("the queue has no bound")
	}
	if !s.Submit(Event{Kind: FlowGone, ID: 3}) {
		t.Error("another worker's queue is full too")
	}
	if err := s.Do(t.Context(), 2, nil); !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
}

func TestBroadcast(t *testing.T) {
	t.Parallel()
	bubble(t, 3, func(t *testing.T, s *setup) {
		s.Broadcast(Event{Kind: FlowGone})
		synctest.Wait()
		for i, m := range s.machines {
			if len(m.told()) != 1 || m.told()[0].ID != ID(i) {
				t.Fatalf("machine %d: %v", i, m.told())
			}
		}
	})
}

// TestManySubmitters has goroutines and the store's acknowledgements compete for
// the turn: every event is stepped once, one submitter's in their order, and no
// machine by two at a time.
func TestManySubmitters(t *testing.T) {
	t.Parallel()
	const submitters, each = 8, 2000
	s := newSetup(2)
	s.Start()
	var busy [Count]atomic.Bool
	var last [submitters][Count]int
	var group sync.WaitGroup
	for n := range submitters {
		group.Go(func() {
			for i := 1; i <= each; i++ {
				id := ID(i % 7)
				s.Submit(Event{Kind: Call, ID: id, Do: func(_ Machine, _ time.Time, out *Batch) {
					if !busy[id].CompareAndSwap(false, true) {
						t.Error("two at one machine")
					}
					if last[n][id] >= i {
						t.Errorf("%d after %d", i, last[n][id])
					}
					last[n][id] = i
					if i%3 == 0 {
						out.Records.Put(fmt.Appendf(nil, "%d/%d", n, i), []byte("x"))
					}
					out.Add(Send{ID: id}, append(out.Buffer(), 'x'))
					busy[id].Store(false)
				}})
			}
		})
	}
	group.Wait()
	s.Stop()
	if got := len(s.sender.all()); got != submitters*each {
		t.Errorf("%d messages of %d", got, submitters*each)
	}
	stored := 0
	_ = s.store.Scan(nil, func([]byte, []byte) error { stored++; return nil })
	if want := submitters * (each / 3); stored != want {
		t.Errorf("%d records of %d", stored, want)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	var b Batch
	b.Add(Send{ID: 1}, append(b.Buffer(), "one"...))
	b.Add(Send{ID: 2}, append(b.Buffer(), "two"...))
	b.After(func() {})
	if len(b.Sends) != 2 || string(b.Message(&b.Sends[0])) != "one" || string(b.Message(&b.Sends[1])) != "two" {
		t.Errorf("%q %q", b.Message(&b.Sends[0]), b.Message(&b.Sends[1]))
	}
	b.Add(Send{}, append(b.Buffer(), make([]byte, maxRetained+1)...))
	b.Reset()
	if len(b.Sends) != 0 || len(b.after) != 0 || b.Records.Len() != 0 || cap(b.Buffer()) > maxRetained {
		t.Errorf("after Reset: %+v", b)
	}
}

// TestOf holds the mapping: another one would lose every presentity in the store.
func TestOf(t *testing.T) {
	t.Parallel()
	for p, want := range map[presence.Presentity]ID{"": 197, "sip:alice@example.com": 136, "sip:bob@example.com": 239} {
		if got := Of(p); got != want {
			t.Errorf("Of(%q) = %d, not %d", p, got, want)
		}
	}
	var count [Count]int
	for i := range 100 * Count {
		count[Of(presence.Presentity(fmt.Sprintf("sip:user%d@example.com", i)))]++
	}
	if least, most := slices.Min(count[:]), slices.Max(count[:]); least < 50 || most > 150 {
		t.Errorf("of 100 on average a shard has %d to %d", least, most)
	}
}
