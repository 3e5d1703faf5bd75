package pipeline

import (
	"errors"
	"strconv"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/topics"
)

// rejected makes the record for one that could not be read: the bytes as they came, and why.
func (r *Router) rejected(rec *kafka.Record, cause error) *kafka.Record {
	at := position(rec).String()
	out := carried(r.opts.Topics.Name(topics.Rejected), []byte(at), rec)
	add := func(name, value string) {
		if value != "" {
			out.Headers = append(out.Headers, kafka.Header{Key: name, Value: []byte(safeText(value, maxDetail))})
		}
	}
	reason, field, detail := string(event.ReasonUndecodable), "", cause.Error()
	if refusal, ok := errors.AsType[*event.Error](cause); ok {
		reason, field, detail = string(refusal.Reason), refusal.Field, refusal.Detail
	}
	add(letter.HeaderRejectReason, reason)
	add(letter.HeaderRejectField, field)
	add(letter.HeaderRejectDetail, detail)
	add(letter.HeaderRejectSource, at)
	add(letter.HeaderRejectTime, strconv.FormatInt(rec.Timestamp.UnixMilli(), 10))
	switch {
	case len(rec.Key) > maxCarriedKey:
		add(letter.HeaderHeadersCut, "key")
	case rec.Key != nil: // byte for byte, so that it can go back
		out.Headers = append(out.Headers, kafka.Header{Key: letter.HeaderRejectKey, Value: rec.Key})
	}
	return out
}

// carried makes the record that carries one that could not be read to where people look for it: its bytes as they came,
// but for what would make it larger than the topic allows. A record that Kafka refused would end its owner, and the next
// one too.
func carried(topic string, key []byte, rec *kafka.Record) *kafka.Record {
	out := &kafka.Record{Topic: topic, Key: key, Value: rec.Value}
	if headerBytes(rec) <= maxCarriedHeaders {
		out.Headers = append(out.Headers, rec.Headers...)
	} else {
		out.Headers = append(out.Headers, kafka.Header{Key: letter.HeaderHeadersCut, Value: []byte("headers")})
	}
	if len(rec.Value) > maxCarriedValue {
		out.Value = rec.Value[:maxCarriedValue]
		out.Headers = append(out.Headers, kafka.Header{Key: letter.HeaderTruncated, Value: []byte(strconv.Itoa(len(rec.Value)))})
	}
	return out
}

// Bounds of what a carried record takes from the original, in bytes. With a key of [maxCarriedKey], twice, and what is added,
// five texts of [maxDetail], it stays below the record limit of 1 MiB + 128 KiB.
const (
	maxCarriedValue   = event.MaxBytes + 64<<10
	maxCarriedHeaders = 32 << 10
	maxCarriedKey     = 4 << 10
)

// headerBytes is about what a record's headers take; 16 bytes a header beside its texts.
func headerBytes(rec *kafka.Record) (size int) {
	for _, h := range rec.Headers {
		size += len(h.Key) + len(h.Value) + 16
	}
	return size
}
