// Package envelope renders the body of an attempt: the event's data inside the envelope that a profile names. The
// data's bytes are spliced in as they came, never decoded and encoded again, and nothing in a body depends on the
// try, so every try of a delivery sends the same bytes (as long as its tenant is not renamed).
package envelope

import (
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/subscription"
)

// ErrNotJSON refuses data that an envelope in JSON cannot hold. The pipeline records it as outcome.ResultRequest.
var ErrNotJSON = errors.New("data is not JSON")

// Envelope appends the body of d to dst and returns it. The envelopes in JSON want data that is valid JSON when its
// content type says so (the router sees to that); they refuse any other content type with [ErrNotJSON]. No data at all
// is null.
type Envelope func(dst []byte, d *delivery.Delivery, t *subscription.Tenant) ([]byte, error)

// Lookup returns the envelope of that name.
func Lookup(name string) (Envelope, bool) {
	switch name {
	case "standard":
		return Standard, true
	case "dixa":
		return Dixa, true
	case "raw":
		return Raw, true
	default:
		return nil, false
	}
}

// Names lists the names that [Lookup] knows, sorted.
func Names() []string { return []string{"dixa", "raw", "standard"} }

// timeLayout is RFC 3339 in UTC with exactly three decimals: what internal records keep of an event's time.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Standard is the body of Standard Webhooks 1.0: type, timestamp (when the event happened) and data.
func Standard(dst []byte, d *delivery.Delivery, _ *subscription.Tenant) ([]byte, error) {
	if err := checkJSON(d); err != nil {
		return dst, err
	}
	dst = appendString(append(dst, `{"type":`...), d.EventType)
	dst = appendTime(append(dst, `,"timestamp":`...), d.EventTime)
	dst = appendData(append(dst, `,"data":`...), d.Data)
	return append(dst, '}'), nil
}

// Dixa is the body of Dixa's outbound webhooks. The organization's id is the tenant's uid, which is the producer's own
// id, or the tenant's id if it has none.
func Dixa(dst []byte, d *delivery.Delivery, t *subscription.Tenant) ([]byte, error) {
	if err := checkJSON(d); err != nil {
		return dst, err
	}
	organization := t.UID
	if organization == "" {
		organization = t.ID.UUID()
	}
	dst = appendString(append(dst, `{"event_id":`...), d.EventID)
	dst = appendString(append(dst, `,"event_fqn":`...), d.EventType)
	dst = appendTime(append(dst, `,"event_version":"1","event_timestamp":`...), d.EventTime)
	dst = appendString(append(dst, `,"organization":{"id":`...), organization)
	dst = appendString(append(dst, `,"name":`...), t.Name)
	dst = appendData(append(dst, `},"data":`...), d.Data)
	return append(dst, '}'), nil
}

// Raw is the data alone, of any content type.
func Raw(dst []byte, d *delivery.Delivery, _ *subscription.Tenant) ([]byte, error) {
	return append(dst, d.Data...), nil
}

func checkJSON(d *delivery.Delivery) error {
	if IsJSON(d.ContentType) {
		return nil
	}
	return fmt.Errorf("%w: its content type is %q, want application/json or another +json", ErrNotJSON, d.ContentType)
}

// IsJSON reports whether a content type stands for JSON: application/json, text/json or any type with the suffix
// +json (RFC 6839). An empty one does: events are JSON unless they say otherwise.
func IsJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

func appendTime(dst []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(dst, '"'), timeLayout), '"')
}

func appendData(dst, data []byte) []byte {
	if len(data) == 0 {
		return append(dst, "null"...)
	}
	return append(dst, data...)
}
