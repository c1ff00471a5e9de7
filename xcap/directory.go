package xcap

import (
	"strconv"
	"strings"
	"time"

	"github.com/tacit-presence/tacit/presence"
	"github.com/tacit-presence/tacit/schema"
	"github.com/tacit-presence/tacit/xmltree"
)

// directoryDocument lists the documents of a user, in a folder for each
// application usage that users have documents of.
func directoryDocument(h *Handler, owner presence.Presentity, entries []Entry) string {
	user := escape(string(owner))
	var b strings.Builder
	b.WriteString(xmlDeclaration + `<xcap-directory xmlns="` + schema.XCAPDirectorySpace + `">`)
	for i := range h.usages {
		u := &h.usages[i]
		if u.Validate == nil || u.noUsers {
			continue
		}
		b.WriteString("\n  <folder auid=\"" + xmltree.EscapeAttr(string(u.AUID)) + `"`)
		closing := "/>"
		for _, e := range entries {
			if e.Key.AUID != u.AUID || e.Key.Tree != TreeUsers {
				continue
			}
			if closing == "/>" {
				b.WriteByte('>')
				closing = "\n  </folder>"
			}
			b.WriteString("\n    <entry uri=\"" + xmltree.EscapeAttr(h.uri(string(u.AUID)+"/users/"+user+"/"+e.Key.Path)) +
				`" etag="` + xmltree.EscapeAttr(string(e.ETag)) + `" last-modified="` + e.Modified.UTC().Format(time.RFC3339) +
				`" size="` + strconv.Itoa(e.Size) + `"/>`)
		}
		b.WriteString(closing)
	}
	b.WriteString("\n</xcap-directory>\n")
	return b.String()
}
