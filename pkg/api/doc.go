// Package api is the management API: tenants (apps), subscriptions (endpoints), event types, events (messages), keys and
// portal tokens, over HTTP. Paths, JSON names, identifiers, iterators, status codes and error bodies are those of the Svix
// server API, so that its clients work unchanged; Postrider's own settings are sub-resources and never added to those bodies.
// Beside it stand the two calls that flexEngage's guide has, POST /v1/{brandId}/webhooks and GET …/webhooks/{id}/events.
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
// every live role has it; the header postrider-applied says whether that was reached.
//
// # Attempts
//
// Lists of attempts and of an endpoint's events find rows in the views ([AttemptIndex]) and read them in Kafka
// ([OutcomeReader]); statuses, health and numbers are the views' own ([EndpointViews]). What only a row tells (channel, tag, whether it
// is the first of its event) narrows some rows at a time, so a page may be short and not the last one. The header
// postrider-views says how far the views are and how many rows are left out because Kafka has them no more: the bodies of the
// Svix API have no room for it. Without Redis or Kafka the answer is 503. Every row is compared with the tenant and the
// endpoint of the path before it is shown: what stands in the place of a row of a topic that was made anew is not.
//
// # Transformations
//
// Trying a program is open to every tenant: a run is bounded by package transform, and no more run at a time than half the
// processors. Who finds no place for two seconds gets 503 busy.
//
// # Pauses
//
// What operators pause is kept in the registry, and deliveries are kept while it lasts: package pipeline says how. What is sent to an
// endpoint to see what comes of it is refused meanwhile, with 409 paused or egress_stopped.
//
// # Metrics
//
//   - postrider_api_requests_total: requests by operation and status class.
//   - postrider_api_request_seconds: their duration by operation.
package api
