package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/load"
)

// results are all that was measured; index 0 is Kamailio, 1 Tacit.
type results struct {
	options  options
	machine  string
	versions []string
	rated    [len(rates)][2][]*load.Report // by rate
	flat     [2][]*load.Report
	many     *load.Report
	profile  []share
}

// spread is a median with the least and the greatest value.
type spread struct{ median, least, most float64 }

func spreadOf(v []float64) spread {
	v = slices.Clone(v)
	slices.Sort(v)
	n := len(v)
	m := v[n/2]
	if n%2 == 0 {
		m = (v[n/2-1] + v[n/2]) / 2
	}
	return spread{m, v[0], v[n-1]}
}

func (s spread) text(format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.median, s.least, s.most)
}

// row is one measured thing with its goal.
type row struct {
	what    string
	format  string
	get     func(*load.Report) float64
	goal    float64 // of Tacit's to Kamailio's; 0: none
	ratio   spread
	columns [2]spread
}

// fill computes the rows from pairs of neighbouring runs.
func fill(rows []row, reports [2][]*load.Report) []row {
	for i := range rows {
		w := &rows[i]
		var ratios []float64
		var columns [2][]float64
		for n := range reports[0] {
			k, t := w.get(reports[0][n]), w.get(reports[1][n])
			columns[0], columns[1] = append(columns[0], k), append(columns[1], t)
			if k > 0 {
				ratios = append(ratios, t/k)
			}
		}
		w.columns = [2]spread{spreadOf(columns[0]), spreadOf(columns[1])}
		if len(ratios) == len(columns[0]) {
			w.ratio = spreadOf(ratios)
		}
	}
	return rows
}

func cpuNotify(p *load.Report) float64 { return p.Publish.CPUMicros }
func stale(p *load.Report) float64     { return float64(p.Publish.Stale) }

func (r *results) atRate(i int) []row {
	return fill([]row{
		{what: "p99 PUBLISH to NOTIFY, ms", format: "%.2f", goal: 1, get: func(p *load.Report) float64 { return p.Publish.Latency.P99 }},
		{what: "p50 PUBLISH to NOTIFY, ms", format: "%.2f", get: func(p *load.Report) float64 { return p.Publish.Latency.P50 }},
		{what: "server CPU a NOTIFY, µs", format: "%.1f", goal: 0.35, get: cpuNotify},
		{what: "lost NOTIFYs", format: "%.0f", get: func(p *load.Report) float64 { return float64(p.Publish.Lost) }},
		{what: "stale watchers at the end", format: "%.0f", get: stale},
	}, r.rated[i])
}

func (r *results) atFull() []row {
	return fill([]row{
		{what: "server CPU a NOTIFY, µs", format: "%.1f", goal: 0.35, get: cpuNotify},
		{what: "server CPU a SUBSCRIBE, µs", format: "%.1f", goal: 0.5, get: func(p *load.Report) float64 { return p.Subscribe.CPUMicros }},
		{what: "NOTIFYs a second", format: "%.0f", get: func(p *load.Report) float64 { return p.Publish.NotifiesPerSecond }},
		{what: "memory a subscription, bytes", format: "%.0f", get: func(p *load.Report) float64 { return float64(p.Subscribe.BytesPerSubscription) }},
		{what: "peak memory, MB", format: "%.0f", get: func(p *load.Report) float64 { return float64(p.PeakRSSBytes) / 1e6 }},
		{what: "stale watchers at the end", format: "%.0f", get: stale},
	}, r.flat)
}

func table(b *strings.Builder, rows []row) {
	b.WriteString("| | Kamailio | Tacit | ratio | goal |\n|---|---|---|---|---|\n")
	for _, w := range rows {
		ratio, goal := "–", "–"
		if w.ratio.median > 0 {
			ratio = w.ratio.text("%.2f")
		}
		if w.goal > 0 {
			goal = fmt.Sprintf("≤ %.2f", w.goal)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", w.what, w.columns[0].text(w.format), w.columns[1].text(w.format), ratio, goal)
	}
}

const (
	beginMark = "<!-- measured: written by make bench -->"
	rulesMark = "<!-- measured with rules: written by make bench -->"
	endMark   = "<!-- end of measured -->"
)

// write prints the tables, puts them into the document, and draws the chart.
func (r *results) write() error {
	full := r.atFull()
	text := r.markdown(full)
	fmt.Println(text)
	if err := os.WriteFile(r.options.chart, []byte(chart([]row{full[0], full[1], full[3], r.atRate(len(rates) - 1)[0]})), 0o644); err != nil {
		return err
	}
	return insert(r.options.doc, beginMark, text)
}

// insert puts what was measured into a document, between a mark and the end of
// what was measured.
func insert(file, mark, text string) error {
	doc, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(doc), mark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return errors.New(file + " has no place for what was measured")
	}
	return os.WriteFile(file, []byte(before+mark+"\n\n"+text+"\n"+endMark+after), 0o644)
}

func (r *results) markdown(full []row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s on %s.\n%s; %s.\n\n", time.Now().UTC().Format(time.DateOnly), r.machine, r.versions[0], r.versions[1])
	fmt.Fprintf(&b, "%d presentities with %d watchers each, documents of %d bytes, UDP on loopback. Medians\nof %d runs each, in turn, with least and most; ratios are of neighbouring runs.\n\n",
		presentities, watchers, bodySize, len(r.flat[0]))
	fmt.Fprintf(&b, "As fast as each answers, %d PUBLISHes outstanding:\n\n", window)
	table(&b, full)
	for i, rate := range rates {
		fmt.Fprintf(&b, "\nAt an equal rate of %.0f PUBLISHes a second:\n\n", rate)
		table(&b, r.atRate(i))
	}
	if r.many != nil {
		s := r.many.Subscribe
		fmt.Fprintf(&b, "\n%d subscriptions: %d MB before, %d MB after, %d MB at the peak; %d bytes a subscription (goals: under 1000 MB; at most 3000 bytes).\n",
			s.Accepted, s.RSSBefore/1e6, s.RSSAfter/1e6, r.many.PeakRSSBytes/1e6, s.BytesPerSubscription)
	}
	b.WriteString("\nWhere the microseconds of a NOTIFY go, from a CPU profile of one more run as\nfast as it answers, apart from those above (its share of PUBLISH, composition,\nsync and answers included):\n\n| Where | µs |\n|---|---|\n")
	total := 0.0
	for _, s := range r.profile {
		fmt.Fprintf(&b, "| %s | %.2f |\n", s.what, s.micros)
		total += s.micros
	}
	fmt.Fprintf(&b, "| all | %.2f |\n\n![Kamailio and Tacit](performance.svg)\n", total)
	return b.String()
}

// chart draws rows as pairs of bars, each row on its own scale.
func chart(rows []row) string {
	const width, left, height, gap = 760, 230, 22, 30
	var b strings.Builder
	y := 40
	body := &strings.Builder{}
	for _, w := range rows {
		most := max(w.columns[0].most, w.columns[1].most)
		scale := float64(width-left-150) / max(most, 1e-9)
		fmt.Fprintf(body, `<text x="%d" y="%d" text-anchor="end" font-weight="bold">%s</text>`+"\n", left-10, y+height, w.what)
		for n, colour := range [2]string{"#9aa5b1", "#2563eb"} {
			c := w.columns[n]
			fmt.Fprintf(body, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left, y, c.median*scale, height-4, colour)
			fmt.Fprintf(body, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#111"/>`+"\n", float64(left)+c.least*scale, float64(left)+c.most*scale, y+(height-4)/2, y+(height-4)/2)
			fmt.Fprintf(body, `<text x="%.1f" y="%d">%s `+w.format+`</text>`+"\n", float64(left)+c.most*scale+8, y+height-8, [2]string{"Kamailio", "Tacit"}[n], c.median)
			y += height
		}
		y += gap
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, y)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><text x="%d" y="22" font-size="15">Medians; the line spans least to most. Less is better.</text>`+"\n", width, y, 20)
	b.WriteString(body.String())
	b.WriteString("</svg>\n")
	return b.String()
}
