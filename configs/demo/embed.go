// Package demo holds what `postrider dev` subscribes, and sample events for `postrider send`. (Those that `postrider dev` sends
// are the examples of the catalogues.) People, companies and conversations are made up.
package demo

import _ "embed"

// ConversationEvents are conversation events of two organizations, one JSON object a line, in the order they happened. They
// are plain JSON, to be read through the mapping of [event.Source] that configs/production.yaml shows for "dixa".
//
//go:embed conversation-events.ndjson
var ConversationEvents []byte

// Subscriptions is the subscriptions file of `postrider dev`: the tenant and the endpoints that its events go to.
//
//go:embed subscriptions.yaml
var Subscriptions []byte
