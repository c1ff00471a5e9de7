package sip

import "strings"

// ReasonPhrase is the RFC's phrase of a status code, or that of its class.
func ReasonPhrase(status int) string {
	if phrase, ok := reasons[status]; ok {
		return phrase
	}
	switch status / 100 {
	case 1:
		return "Session Progress"
	case 2:
		return "OK"
	case 3:
		return "Multiple Choices"
	case 4:
		return "Bad Request"
	case 5:
		return "Server Internal Error"
	}
	return "Busy Everywhere"
}

// reasons are those of RFC 3261, 21, and of the extensions in use here.
var reasons = map[int]string{
	100: "Trying",
	180: "Ringing",
	181: "Call Is Being Forwarded",
	182: "Queued",
	183: "Session Progress",
	200: "OK",
	202: "Accepted",
	204: "No Notification", // RFC 5839, 7.1
	300: "Multiple Choices",
	301: "Moved Permanently",
	302: "Moved Temporarily",
	305: "Use Proxy",
	380: "Alternative Service",
	400: "Bad Request",
	401: "Unauthorized",
	402: "Payment Required",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	406: "Not Acceptable",
	407: "Proxy Authentication Required",
	408: "Request Timeout",
	410: "Gone",
	412: "Conditional Request Failed", // RFC 3903, 11.2.1
	413: "Request Entity Too Large",
	414: "Request-URI Too Long",
	415: "Unsupported Media Type",
	416: "Unsupported URI Scheme",
	420: "Bad Extension",
	421: "Extension Required",
	423: "Interval Too Brief",
	428: "Use Identity Header", // RFC 8224, 6.2.2
	436: "Bad Identity Info",
	437: "Unsupported Credential",
	438: "Invalid Identity Header",
	439: "First Hop Lacks Outbound Support", // RFC 5626, 11.6
	480: "Temporarily Unavailable",
	481: "Call/Transaction Does Not Exist",
	482: "Loop Detected",
	483: "Too Many Hops",
	484: "Address Incomplete",
	485: "Ambiguous",
	486: "Busy Here",
	487: "Request Terminated",
	488: "Not Acceptable Here",
	489: "Bad Event", // RFC 6665, 8.3.2
	491: "Request Pending",
	493: "Undecipherable",
	494: "Security Agreement Required", // RFC 3329, 2.3
	500: "Server Internal Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Server Time-out",
	505: "Version Not Supported",
	513: "Message Too Large",
	600: "Busy Everywhere",
	603: "Decline",
	604: "Does Not Exist Anywhere",
	606: "Not Acceptable",
}

// maxWarning bounds the text of a Warning, in bytes.
const maxWarning = 200

// Warning is the header field that says what is wrong with a request, for people
// (RFC 3261, 20.43: 399). Of err it has the first 200 bytes; what a quoted-string
// cannot hold is an apostrophe.
func Warning(err error) Header {
	text := err.Error()
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, text[:min(len(text), maxWarning)])
	return Header{ID: HeaderWarning, Value: `399 tacit "` + text + `"`}
}
