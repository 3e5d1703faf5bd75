// Package demo holds sample events: what `postrider dev` and the first steps of the documentation send. People, companies
// and conversations are made up.
package demo

import _ "embed"

// ConversationEvents are conversation events of two organizations, one JSON object a line, in the order they happened. They
// are plain JSON, to be read through the mapping of [event.Source] that configs/production.yaml shows for "dixa".
//
//go:embed conversation-events.ndjson
var ConversationEvents []byte

// Subscriptions is the subscriptions file of `postrider dev`: the tenant and the endpoints that the sample events go to.
//
//go:embed subscriptions.yaml
var Subscriptions []byte
