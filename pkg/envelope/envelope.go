// Package envelope renders the body of an attempt: the event's data inside the envelope that a profile names. The
// data's bytes are spliced in as they came, never decoded and encoded again. But for [PerAttempt] envelopes nothing in a
// body depends on the try, so every try of a delivery sends the same bytes (as long as its tenant is not renamed).
//
// Data whose content type says that it is encrypted, see [encrypt.Encrypted], stands in the envelopes in JSON as a string;
// who encrypted it, the producer or the subscription's own cipher, makes no difference.
package envelope

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// ErrNotJSON refuses data that an envelope in JSON cannot hold: what is neither JSON nor an encrypted text. The pipeline records it as outcome.ResultRequest.
var ErrNotJSON = errors.New("data is not JSON")

// Input is what a body is made of.
type Input struct {
	Delivery *delivery.Delivery
	Tenant   *subscription.Tenant
	// Attempt is the id of the try and At when it starts, for [PerAttempt] envelopes.
	Attempt ident.ID
	At      time.Time
}

// Scope is what a body depends on besides the event and its tenant.
type Scope int

// Scopes.
const (
	PerEvent   Scope = iota // nothing: all subscriptions of a tenant get the same body
	PerAttempt              // the body names the subscription and the try
)

// Envelope is one system's form of a body.
type Envelope struct {
	scope Scope
	// body appends the body to dst, see [Envelope.Append].
	body func(dst []byte, in *Input) ([]byte, error)
	// contentType of the body; empty for that of the data.
	contentType string
	// headers yields what the envelope puts into header fields; nil for nothing.
	headers func(d *delivery.Delivery) iter.Seq2[string, string]
}

const jsonType = "application/json"

// all holds the envelopes by name. The four systems', Standard Webhooks, CloudEvents in both modes, and the data alone.
var all = map[string]*Envelope{ //nolint:gochecknoglobals // a table
	"cloudevents":        {body: cloudEvents, contentType: "application/cloudevents+json"},
	"cloudevents-binary": {body: raw, headers: cloudEventsHeaders},
	"dixa":               {body: dixa, contentType: jsonType},
	"flexengage":         {body: flexEngage, contentType: jsonType, scope: PerAttempt},
	"raw":                {body: raw},
	"standard":           {body: standard, contentType: jsonType},
	"voyado":             {body: voyado, contentType: jsonType},
}

// Lookup returns the envelope of that name.
func Lookup(name string) (*Envelope, bool) {
	e, ok := all[name]
	return e, ok
}

// Names lists the names that [Lookup] knows, sorted.
func Names() []string {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Append appends the body to dst and returns it. The envelopes in JSON want data that is valid JSON when its content type
// says so (the router sees to that); those that cannot hold any other refuse it with [ErrNotJSON]. No data at all is null.
func (e *Envelope) Append(dst []byte, in *Input) ([]byte, error) { return e.body(dst, in) }

// Scope returns what the bodies depend on.
func (e *Envelope) Scope() Scope { return e.scope }

// ContentType returns the content type of the body; an event that names none has JSON.
func (e *Envelope) ContentType(d *delivery.Delivery) string {
	if e.contentType != "" {
		return e.contentType
	}
	return contentType(d)
}

// contentType returns the content type of an event's data.
func contentType(d *delivery.Delivery) string { return cmp.Or(d.ContentType, jsonType) }

// Headers yields the header fields that are a part of the envelope.
func (e *Envelope) Headers(d *delivery.Delivery) iter.Seq2[string, string] {
	if e.headers == nil {
		return func(func(string, string) bool) {}
	}
	return e.headers(d)
}

// standard is the body of Standard Webhooks 1.0: type, timestamp (when the event happened) and data.
func standard(dst []byte, in *Input) ([]byte, error) {
	d := in.Delivery
	if err := checkJSON(d); err != nil {
		return dst, err
	}
	dst = appendString(append(dst, `{"type":`...), d.EventType)
	dst = appendTime(append(dst, `,"timestamp":`...), d.EventTime)
	dst = appendData(append(dst, `,"data":`...), d)
	return append(dst, '}'), nil
}

// dixa is the body of Dixa's outbound webhooks.
func dixa(dst []byte, in *Input) ([]byte, error) {
	d := in.Delivery
	if err := checkJSON(d); err != nil {
		return dst, err
	}
	dst = appendString(append(dst, `{"event_id":`...), d.EventID)
	dst = appendString(append(dst, `,"event_fqn":`...), d.EventType)
	dst = appendTime(append(dst, `,"event_version":"1","event_timestamp":`...), d.EventTime)
	dst = appendString(append(dst, `,"organization":{"id":`...), owner(in.Tenant))
	dst = appendString(append(dst, `,"name":`...), in.Tenant.Name)
	dst = appendData(append(dst, `},"data":`...), d)
	return append(dst, '}'), nil
}

// voyado is the body of Voyado Engage's webhooks.
func voyado(dst []byte, in *Input) ([]byte, error) {
	d := in.Delivery
	if err := checkJSON(d); err != nil {
		return dst, err
	}
	dst = appendString(append(dst, `{"eventId":`...), d.EventID)
	dst = appendString(append(dst, `,"eventType":`...), d.EventType)
	dst = strconv.AppendBool(append(dst, `,"isEncrypted":`...), encrypt.Encrypted(d.ContentType))
	dst = appendData(append(dst, `,"payload":`...), d)
	dst = appendString(append(dst, `,"tenant":`...), owner(in.Tenant))
	return append(dst, '}'), nil
}

// raw is the data alone, of any content type.
func raw(dst []byte, in *Input) ([]byte, error) { return append(dst, in.Delivery.Data...), nil }

// owner is what the systems call a tenant: its uid, which is the producer's own id, or the tenant's id if it has none.
func owner(t *subscription.Tenant) string {
	if t.UID != "" {
		return t.UID
	}
	return t.ID.UUID()
}

func checkJSON(d *delivery.Delivery) error {
	switch {
	case IsJSON(d.ContentType):
		return nil
	case encrypt.Encrypted(d.ContentType):
		if isText(d.Data) {
			return nil
		}
		return fmt.Errorf("%w: it is no text of visible ASCII, as encrypted data is", ErrNotJSON)
	}
	return fmt.Errorf("%w: its content type is %q, want application/json or another +json", ErrNotJSON, d.ContentType)
}

// IsJSON reports whether a content type stands for JSON: application/json, text/json or any type with the suffix
// +json (RFC 6839). An empty one does: events are JSON unless they say otherwise.
func IsJSON(contentType string) bool {
	if contentType == "" || contentType == jsonType {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	return media == jsonType || media == "text/json" || strings.HasSuffix(media, "+json")
}

func appendTime(dst []byte, t time.Time) []byte {
	return append(delivery.AppendTime(append(dst, '"'), t), '"')
}

// isText reports whether data is visible ASCII that a JSON string holds as it is: what texts of encrypted data consist of.
func isText(data []byte) bool {
	for _, c := range data {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendData appends the data of d, which [checkJSON] has let pass, as a value of JSON.
func appendData(dst []byte, d *delivery.Delivery) []byte {
	switch {
	case len(d.Data) == 0:
		return append(dst, "null"...)
	case IsJSON(d.ContentType):
		return append(dst, d.Data...)
	}
	dst = append(append(dst, '"'), d.Data...)
	return append(dst, '"')
}
