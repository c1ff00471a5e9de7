// Package store keeps the server's state on disk behind one small interface:
// atomic batches that are durable when they are acknowledged, reads, ordered
// scans, and compare-and-set.
//
// # Soft and hard state
//
// Soft state (publications, subscriptions, registrations) and the disclosure
// records go through [Store.Commit]: many batches share one fsync, and the
// owner of the state, a shard, hears of it by a callback. Hard state (rules,
// credentials, certificates) has several writers and goes through
// [Store.CompareAndSet].
//
// # Layout of keys
//
// A key is made by [Key]:
//
//	kind (1 byte) | shard (1 byte) | part | part | ...
//
// The kind says which package owns the record and how its value is encoded;
// that package declares it as a constant. The shard comes before the rest, so
// that a shard's state is recovered by one scan of Key(kind, shard); what
// belongs to no shard uses shard 0. Each part ends in a terminator, and is
// escaped so that no part can contain one. Hence
//
//   - different parts never give the same key,
//   - Key(k, s, "alice") is a prefix of Key(k, s, "alice", "tag") and not of
//     Key(k, s, "alice2"): a scan of it gives exactly what is below alice,
//   - keys sort as their parts do, part by part, as byte strings.
//
// # Values
//
// A value made by [Encode] starts with a byte that names the schema's version;
// the rest is deterministic CBOR (RFC 8949). Structures use small integer keys
// (`cbor:"1,keyasint,omitempty"`), which never change their meaning and are
// never used again. An optional field may be added without a new version: an
// older program refuses the record, and so cannot silently drop what it does
// not know.
//
// # Failure
//
// A store is fail-stop. The state in a shard's memory is ahead of what is on
// disk, so that after a failed write the only way back to one truth is to start
// again from the disk: every later write fails, with an error that is
// [ErrFailed] and tells the cause.
package store
