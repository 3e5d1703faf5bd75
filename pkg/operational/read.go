package operational

import (
	"encoding/json"
	"fmt"

	"github.com/postrider/postrider/pkg/ident"
)

// Read reads what [Event.Value] writes. The data is an [Endpoint] or an [Attempt], by the type; that of a type which
// this version does not know is nil.
func Read(value []byte) (Event, error) {
	var raw struct {
		record
		Data struct {
			Data json.RawMessage `json:"data"`
		} `json:"data"`
	}
	if err := json.Unmarshal(value, &raw); err != nil {
		return Event{}, fmt.Errorf("reading operational event: %w", err)
	}
	e := Event{Type: raw.Type, At: raw.Time}
	var err error
	if e.ID, err = ident.ParseUUID(raw.ID); err != nil {
		return Event{}, fmt.Errorf("reading operational event: id: %w", err)
	}
	if e.Tenant, err = ident.ParseUUID(raw.Tenant); err != nil {
		return Event{}, fmt.Errorf("reading operational event: tenant: %w", err)
	}
	switch raw.Type {
	case EndpointCreated, EndpointUpdated, EndpointDeleted, EndpointEnabled, EndpointDisabled,
		RetriesSuspended, RetriesResumed:
		e.Data, err = data[Endpoint](raw.Data.Data)
	case AttemptExhausted, AttemptFailing, AttemptRecovered:
		e.Data, err = data[Attempt](raw.Data.Data)
	}
	if err != nil {
		return Event{}, fmt.Errorf("reading operational event: data of %s: %w", raw.Type, err)
	}
	return e, nil
}

func data[T any](raw json.RawMessage) (any, error) {
	var v T
	err := json.Unmarshal(raw, &v)
	return v, err
}
