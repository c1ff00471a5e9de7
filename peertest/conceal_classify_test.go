package peertest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sample is the exchanges of one case, in the order in which they were made. Those
// of the same index in another case were made in the same round.
type sample []*observation

// verdict is how often an observer is right who has learned from one half of the
// exchanges and judges the other.
type verdict struct {
	shapes, stump, histogram, together float64
}

// worst is the best of the observer's ways.
func (v verdict) worst() float64 { return max(v.shapes, v.stump, v.histogram, v.together) }

// separate lets an observer try to tell two cases apart. which is the round's half
// that is learned from.
func separate(a, b sample, which []bool) verdict {
	v := verdict{shapes: byShape(a, b, which)}
	var sums [2][]float64
	for side, s := range []sample{a, b} {
		sums[side] = make([]float64, len(s))
	}
	for i := range len(observation{}.times) {
		x, y := column(a, i), column(b, i)
		v.stump = max(v.stump, byThreshold(x, y, which))
		ratio := ratios(x, y, which)
		right := 0.0
		for r, learned := range which {
			lx, ly := ratio(x[r]), ratio(y[r])
			sums[0][r] += lx
			sums[1][r] += ly
			if !learned {
				right += guess(lx) + guess(-ly)
			}
		}
		v.histogram = max(v.histogram, right/float64(2*judged(which)))
	}
	right := 0.0
	for r, learned := range which {
		if !learned {
			right += guess(sums[0][r]) + guess(-sums[1][r])
		}
	}
	v.together = right / float64(2*judged(which))
	return v
}

func judged(which []bool) (n int) {
	for _, learned := range which {
		if !learned {
			n++
		}
	}
	return n
}

// guess is how often a logarithm of likelihoods is right about the first case.
func guess(l float64) float64 {
	switch {
	case l > 0:
		return 1
	case l < 0:
		return 0
	}
	return 0.5
}

func column(s sample, i int) []float64 {
	c := make([]float64, len(s))
	for r, o := range s {
		c[r] = o.times[i]
	}
	return c
}

// byShape judges by what was seen more often with which case.
func byShape(a, b sample, which []bool) float64 {
	seen := map[shape]float64{}
	for r, learned := range which {
		if learned {
			seen[a[r].shape]++
			seen[b[r].shape]--
		}
	}
	right := 0.0
	for r, learned := range which {
		if !learned {
			right += guess(seen[a[r].shape]) + guess(-seen[b[r].shape])
		}
	}
	return right / float64(2*judged(which))
}

// byThreshold judges by whether a time is above the one threshold that was the
// best.
func byThreshold(x, y []float64, which []bool) float64 {
	type point struct {
		at   float64
		step int
	}
	var points []point
	for r, learned := range which {
		if learned {
			points = append(points, point{x[r], 1}, point{y[r], -1})
		}
	}
	slices.SortFunc(points, func(a, b point) int {
		if a.at < b.at {
			return -1
		}
		return 1
	})
	threshold, most, sum, sign := 0.0, 0, 0, 1.0
	for i, p := range points {
		sum += p.step
		if i+1 < len(points) && points[i+1].at == p.at {
			continue
		}
		if n := max(sum, -sum); n > most {
			threshold, most, sign = p.at, n, float64(sum/n)
		}
	}
	right := 0.0
	for r, learned := range which {
		if !learned {
			right += guess(sign*low(x[r], threshold)) + guess(-sign*low(y[r], threshold))
		}
	}
	return right / float64(2*judged(which))
}

// low is 1 for a value up to the threshold, else -1.
func low(v, threshold float64) float64 {
	if v <= threshold {
		return 1
	}
	return -1
}

// bins is how many equally full classes of times an observer counts.
const bins = 24

// ratios learns the logarithm of how much more often a time is the first case's.
func ratios(x, y []float64, which []bool) func(float64) float64 {
	var all []float64
	for r, learned := range which {
		if learned {
			all = append(all, x[r], y[r])
		}
	}
	slices.Sort(all)
	edges := make([]float64, 0, bins)
	for i := 1; i < bins; i++ {
		edges = append(edges, all[i*len(all)/bins])
	}
	bin := func(v float64) int { i, _ := slices.BinarySearch(edges, v); return i }
	var count [2][bins]float64
	for r, learned := range which {
		if learned {
			count[0][bin(x[r])]++
			count[1][bin(y[r])]++
		}
	}
	return func(v float64) float64 {
		i := bin(v)
		return math.Log((count[0][i] + 1) / (count[1][i] + 1))
	}
}

// halves chooses the rounds to learn from.
func halves(n int) []bool {
	which := make([]bool, n)
	for i, r := range rand.Perm(n) {
		which[r] = i < n/2
	}
	return which
}

// An observer finds what there is to be found: one more field, a time that is
// longer by a tenth, or of another spread. And nothing where there is nothing.
func TestObserver(t *testing.T) {
	t.Parallel()
	const n = 2000
	make := func(change func(o *observation)) (s sample) {
		for range n {
			o := &observation{shape: shape{first: "200", second: "NOTIFY"}}
			o.times[0] = math.Exp(rand.NormFloat64()*0.05 - 8)
			o.times[1] = o.times[0] + math.Exp(rand.NormFloat64()*0.2-10)
			change(o)
			o.times[2] = o.times[1] - o.times[0]
			s = append(s, o)
		}
		return s
	}
	nothing := func(*observation) {}
	for _, test := range []struct {
		name   string
		change func(o *observation)
		least  float64
	}{
		{"nothing", nothing, 0},
		{"shape", func(o *observation) { o.first = "202" }, 0.99},
		{"half of the shapes", func(o *observation) { o.unasked = rand.IntN(2) }, 0.7},
		{"longer", func(o *observation) { o.times[0] *= 1.1 }, 0.75},
		{"now and then much longer", func(o *observation) {
			if rand.IntN(4) == 0 {
				o.times[1] *= 2
			}
		}, 0.56},
		{"another spread", func(o *observation) { o.times[0] = math.Exp(rand.NormFloat64()*0.2 - 8) }, 0.65},
	} {
		v := separate(make(nothing), make(test.change), halves(n))
		if got := v.worst(); got < test.least || test.least == 0 && got > limit {
			t.Errorf("%s: %.3f %+v", test.name, got, v)
		}
	}
}
