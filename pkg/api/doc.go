// Package api is the management API: tenants (apps), subscriptions (endpoints), event types, events (messages), keys and
// portal tokens, over HTTP. Paths, JSON names, identifiers, iterators, status codes and error bodies are those of the Svix
// server API, so that its clients work unchanged; Postrider's own settings are sub-resources and never added to those bodies.
// Beside it stands the one call that flexEngage's guide shows, POST /v1/{brandId}/webhooks.
//
// # A request
//
//	access log → recover → limits → authentication → rate limit → idempotency → operation: permission → tenant → handler
//
// Every operation is declared with the permission it asks for ([route]); without one it does not register. The tenant in the
// path is resolved before the handler runs: what belongs to another tenant is not found, as what does not exist.
//
// # Versions
//
// What the registry keeps has an ETag, its version. If-Match makes a write conditional: 412 if somebody else changed it
// meanwhile. Without it, PATCH is applied to the newest version and PUT replaces it. ?wait=applied lets a write wait until
// every live router and deliverer has it; the header postrider-applied says whether that was reached.
//
// # Transformations
//
// Trying a program is open to every tenant: a run is bounded by package transform, and no more run at a time than half the
// processors. Who finds no place for two seconds gets 503 busy.
//
// # Metrics
//
//   - postrider_api_requests_total: requests by operation and status class.
//   - postrider_api_request_seconds: their duration by operation.
package api
