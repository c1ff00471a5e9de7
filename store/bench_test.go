package store_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tacit-presence/tacit/store"
)

// benchKeys bounds the keys written, as presentities publish again and again.
const benchKeys = 100_000

// BenchmarkCommit is a closed loop: so many 1 KB puts are outstanding, and each
// acknowledgement starts the next. It reports CPU of the whole process (the
// engine's flushes and compactions included) and writes a second.
func BenchmarkCommit(b *testing.B) {
	for _, outstanding := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("outstanding=%d", outstanding), func(b *testing.B) {
			s, err := store.OpenPebble(b.TempDir(), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			benchLoop(b, s, outstanding, benchValues())
		})
	}
}

func benchLoop(b *testing.B, s store.Store, outstanding int, values []byte) {
	outstanding = min(outstanding, b.N)
	var all sync.WaitGroup
	all.Add(outstanding)
	left := b.N // after the start only the store's goroutine counts
	writers := make([]func(error), outstanding)
	for w := range writers {
		var batch store.Batch
		random := rand.New(rand.NewPCG(uint64(w), 1))
		var key [10]byte
		writers[w] = func(err error) {
			if err != nil {
				b.Error(err)
			}
			if left == 0 {
				all.Done()
				return
			}
			left--
			batch.Reset()
			at := random.IntN(len(values) - benchSize)
			batch.Put(benchKey(&key, random), values[at:at+benchSize])
			s.Commit(&batch, writers[w])
		}
	}
	cpu := startCPU(b)
	// The first acknowledgement, from the store's goroutine, starts the others.
	var first store.Batch
	s.Commit(&first, func(error) {
		for _, next := range writers {
			next(nil)
		}
	})
	all.Wait()
	cpu.report(b)
}

// BenchmarkDirect is the same load without a committer: a goroutine for each
// outstanding write, and Pebble's own group commit.
func BenchmarkDirect(b *testing.B) {
	for _, outstanding := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("outstanding=%d", outstanding), func(b *testing.B) {
			db, err := pebble.Open(b.TempDir(), store.PebbleOptions())
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			values := benchValues()
			work := make(chan struct{}, b.N)
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			var all sync.WaitGroup
			cpu := startCPU(b)
			for w := range outstanding {
				all.Go(func() {
					batch := db.NewBatch()
					random := rand.New(rand.NewPCG(uint64(w), 1))
					var key [10]byte
					for range work {
						at := random.IntN(len(values) - benchSize)
						_ = batch.Set(benchKey(&key, random), values[at:at+benchSize], nil)
						if err := db.Apply(batch, pebble.Sync); err != nil {
							b.Error(err)
						}
						batch.Reset()
					}
				})
			}
			all.Wait()
			cpu.report(b)
		})
	}
}

func benchKey(key *[10]byte, random *rand.Rand) []byte {
	binary.BigEndian.PutUint64(key[2:], random.Uint64N(benchKeys))
	return key[:]
}

// benchSize is the size of a value: a presence document and its record.
const benchSize = 1024

// benchValues returns bytes to cut values from; they do not compress, as sealed
// ones do not.
func benchValues() []byte {
	values := make([]byte, 4<<20)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(values)
	return values
}

type cpuMeter struct {
	used  time.Duration
	start time.Time
}

func startCPU(b *testing.B) cpuMeter {
	b.ReportAllocs()
	b.ResetTimer()
	return cpuMeter{cpuUsed(b), time.Now()}
}

func (m cpuMeter) report(b *testing.B) {
	used, took := cpuUsed(b)-m.used, time.Since(m.start)
	b.StopTimer()
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/took.Seconds(), "writes/s")
}

func cpuUsed(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
