package attempt

import (
	"bytes"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/backoff"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/wire"
)

// maxFields is how many fields of a header are looked at: an endpoint that sends more is no reason to spend time.
const maxFields = 4 * outcome.MaxHeaders

// takeHeader takes the header as far as it is kept.
func (r *Response) takeHeader(got *wire.Response, scratch *[]byte) {
	text, seen := (*scratch)[:0], 0
	for name, value := range got.Fields() {
		if seen++; seen > maxFields {
			r.HeadersTruncated = true
			break
		}
		var kept outcome.Kept
		switch text, kept = outcome.AppendHeader(text, name, value); kept {
		case outcome.KeptNot:
			r.HeadersTruncated = true
		case outcome.KeptRedacted:
			r.HeadersRedacted = true
		case outcome.KeptWhole, outcome.KeptOut:
		}
	}
	r.Headers, *scratch = outcome.Headers(text), text
}

// readHeader takes what the endpoint asks for.
func (r *Response) readHeader(got *wire.Response, now func() time.Time) {
	asked := false
	for name, value := range got.Fields() {
		switch {
		case !asked && is(name, "Retry-After"):
			asked = true
			r.RetryAfter, _ = backoff.ParseRetryAfter(string(value), now())
		case is(name, "Webhook-Delivery"):
			r.heed(string(value))
		}
	}
}

// is compares without case. The length, which nearly always differs, is looked at first.
func is(name []byte, word string) bool {
	return len(name) == len(word) && bytes.EqualFold(name, []byte(word))
}

// heed reads a value of Webhook-Delivery.
func (r *Response) heed(value string) {
	for word := range strings.SplitSeq(value, ",") {
		switch word = strings.TrimSpace(word); {
		case strings.EqualFold(word, "disable"):
			r.Disable = true
		case strings.EqualFold(word, "abort-message"):
			r.AbortMessage = true
		}
	}
}
