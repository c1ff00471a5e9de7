// Package compose makes one raw document of all that a presentity's sources
// have published.
package compose

import (
	"time"

	"github.com/tacit-presence/tacit/pidf"
	"github.com/tacit-presence/tacit/presence"
)

// Publication is one live publication.
type Publication struct {
	Serial   uint64
	Modified time.Time
	Order    uint64
	Doc      *pidf.Document
}

// Policy is a composition policy.
type Policy interface {
	Name() string
	Compose(p presence.Presentity, pubs []Publication) Raw
}

// Raw is the composed document.
type Raw struct{ chunks []string }

// Empty reports that nothing is published.
func (r Raw) Empty() bool { return len(r.chunks) == 0 }

type union struct{}

func (union) Name() string                                  { return "union" }
func (union) Compose(presence.Presentity, []Publication) Raw { return Raw{} }

type newest struct{}

func (newest) Name() string                                  { return "newest" }
func (newest) Compose(presence.Presentity, []Publication) Raw { return Raw{} }

// Union keeps everything.
func Union() Policy { return union{} }

// Newest keeps the newest publication only.
func Newest() Policy { return newest{} }

// Named returns the policy of that name.
func Named(name string) (Policy, bool) {
	for _, p := range []Policy{Union(), Newest()} {
		if p.Name() == name {
			return p, true
		}
	}
	return nil, false
}
