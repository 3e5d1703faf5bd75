// Package registry keeps tenants and subscriptions. One compacted partition holds them, so there is one total order of
// changes; every role reads it into an immutable [Snapshot] ([View]), and one fenced [Writer] at a time adds to it.
//
// # Records
//
// The key is kind/uuid (tenant/…, subscription/…), the value JSON with the schema's version in "version"; a record
// without value deletes. Kinds that this version does not know are passed over. A record that cannot be decoded is
// counted, logged and passed over: what the key held before stays.
//
// # Versions
//
// The version of a tenant or subscription is the offset of its record plus one, so that 0 means "never written". The
// version of a snapshot is the offset that it is read up to, exclusive: it contains exactly the records below. An
// object of version v is therefore in every snapshot whose version is at least v, and a snapshot's version can be
// compared with the version a delivery was matched with. Transaction markers take offsets too, so versions have gaps.
//
// # Metrics
//
//   - postrider_registry_version: the version of the current snapshot.
//   - postrider_registry_subscriptions: subscriptions in it, disabled ones included.
//   - postrider_registry_confirmed_age_seconds: time since the instant up to which the snapshot is known complete.
//   - postrider_registry_undecodable_total: records passed over because they could not be decoded.
//   - postrider_registry_replays_total: replays from the start of the log, the first included.
package registry
