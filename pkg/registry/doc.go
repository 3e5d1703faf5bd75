// Package registry keeps tenants, subscriptions, event types, API keys and what operators have paused. One compacted partition holds them, so there is
// one total order of changes; every role reads it into an immutable [Snapshot] ([View]), and one fenced [Writer] at a time
// adds to it. A [Store] is what many callers in many processes change it through.
//
// # Records
//
// The key is kind/uuid (tenant/…, subscription/…, event-type/…, key/…, pause/…; the uuid of an event type is derived from its name),
// the value JSON with the schema's version in "version" and the transaction it was written in in "write"; a record
// without value deletes. A transaction that only deletes has a record more, write/…, that says which it was. Secrets of
// subscriptions and tenants are sealed if the view has a [Cipher]; those of older records that are not are read as they are. Kinds that this version does not know are passed over. A record that cannot be decoded is
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
//   - postrider_registry_pauses: what operators have paused, by scope (egress, role, tenant, subscription), and roles by paused_role.
//   - postrider_registry_confirmed_age_seconds: time since the instant up to which the snapshot is known complete.
//   - postrider_registry_undecodable_total: records passed over because they could not be decoded.
//   - postrider_registry_replays_total: replays from the start of the log, the first included.
//   - postrider_registry_unopened_total: subscriptions and tenants read of which a secret could not be decrypted.
//
// Of writing, with a [Store]:
//
//   - postrider_registry_transactions_total: transactions committed.
//   - postrider_registry_changes_total: records of the registry in them.
//   - postrider_registry_conflicts_total: changes refused because somebody else had changed the object.
//   - postrider_registry_fencings_total: writers lost to that of another process.
//   - postrider_registry_write_seconds: time from planning a transaction to its end.
package registry
