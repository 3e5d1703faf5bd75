package outcome

import (
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
)

// Status is the last attempt of a subscription with an event type, as the topic of statuses has it: what is known of it when
// its row has left outcomes.
type Status struct {
	Version      int      `json:"version"` // [Version]
	Tenant       ident.ID `json:"tenant"`
	Subscription ident.ID `json:"subscription"`
	EventType    string   `json:"event_type"`
	// At is when the attempt started.
	At      time.Time `json:"at"`
	Verdict Verdict   `json:"verdict"`
	Reason  Reason    `json:"reason"`
	Result  Result    `json:"result"`
	// Status is the HTTP status code, 0 without a response.
	Status int `json:"status,omitempty"`
	// Outcome is where the attempt's row is, or was.
	Outcome delivery.Position `json:"outcome"`
}

// Key is that of the record: the newest one of a subscription and event type is kept.
func (s *Status) Key() string { return s.Subscription.UUID() + "/" + s.EventType }

// ReadStatus reads a record of statuses. One of a newer form is an error that wraps [form.ErrNewer].
func ReadStatus(value []byte) (*Status, error) {
	s := new(Status)
	return s, form.Read(value, s, &s.Version, Version)
}
