package client

// PIDFType is the media type of presence documents (RFC 3863).
const PIDFType = "application/pidf+xml"

// PIDF makes a presence document.
func PIDF(entity, status, note, activity string) string { return "" }
