package envelope

import (
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

// flexEngage is the body of flexEngage's webhooks. Its attemptId is new for every try, so its bytes are, too.
func flexEngage(dst []byte, in *Input) ([]byte, error) {
	d := in.Delivery
	if err := checkJSON(d); err != nil {
		return dst, err
	}
	dst = appendString(append(dst, `{"id":`...), FlexEngageID(d))
	dst = appendString(append(dst, `,"brandId":`...), owner(in.Tenant))
	dst = appendString(append(dst, `,"webhookId":`...), d.Subscription.UUID())
	dst = appendString(append(dst, `,"attemptId":`...), ulidOf(in.At, in.Attempt))
	dst = appendTime(append(dst, `,"created":`...), d.EventTime)
	dst = appendString(append(dst, `,"type":`...), d.EventType)
	dst = appendData(append(dst, `,"data":`...), d)
	return append(dst, '}'), nil
}

// FlexEngageID is the id of a delivery's event in flexEngage's webhooks: its own, if that is a ULID, or one that is made of when it
// happened and its message id.
func FlexEngageID(d *delivery.Delivery) string {
	if _, err := ulid.ParseStrict(d.EventID); err == nil {
		return d.EventID
	}
	return ulidOf(d.EventTime, d.Message)
}

// ulidOf returns the ULID (https://github.com/ulid/spec) of a time and the last 80 bits of an id: what has the same
// id at the same time has the same ULID. Times before 1970 and after the year 10889, which a ULID cannot have, are the
// first and the last that it can.
func ulidOf(at time.Time, id ident.ID) string {
	const last = 1<<48 - 1 // milliseconds
	ms := uint64(min(max(at.UnixMilli(), 0), last))
	var u ulid.ULID
	copy(u[:], id[:])
	_ = u.SetTime(ms) // fails beyond the last time only
	return u.String()
}
