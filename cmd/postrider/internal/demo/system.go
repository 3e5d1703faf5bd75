package demo

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
)

// System is a product whose services produce events, as the demo plays it: the examples of its catalogue, in a form of its
// own, on a topic of its own.
type System struct {
	// Topic is its source topic, and Source how the events there are read.
	Topic  string
	Source event.Source
	// EventTypes are what it sends: those of its catalogue but for names that a system before it has. A name means one thing
	// in an installation, and two of the catalogues have contacts.
	EventTypes []catalogue.EventType

	write    func(e *event.Event, owner Tenant) ([]byte, error)
	decoder  *event.Decoder
	examples []example
}

// Tenant is whose events a system sends.
type Tenant struct{ UID, Name string }

// example is the data of an event type.
type example struct {
	eventType string
	data      []byte
}

// Systems reads the catalogues of the systems that take part, in the order of their turns.
func Systems(catalogues fs.ReadFileFS) ([]System, error) {
	systems := []System{
		{Topic: "dixa.conversation-events", Source: dixa(), write: writeDixa},
		{Topic: "flexengage.events", Source: flexEngage(), write: writeFlexEngage},
		{Topic: "voyado.events", Source: event.Source{Name: "voyado"}, write: writeData},
		{Topic: "voice.events", Source: event.Source{Name: "voice"}, write: writeData},
	}
	taken := map[string]bool{}
	for i := range systems {
		if err := systems[i].read(catalogues, taken); err != nil {
			return nil, err
		}
	}
	return systems, nil
}

// read takes the event types that are not taken from the system's catalogue.
func (s *System) read(catalogues fs.ReadFileFS, taken map[string]bool) error {
	name := "catalogues/" + s.Source.Name + ".yaml"
	raw, err := catalogues.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading catalogue: %w", err)
	}
	file, err := catalogue.ParseFile(name, raw)
	if err != nil {
		return err
	}
	for _, et := range file.EventTypes {
		if taken[et.Name] {
			continue
		}
		taken[et.Name] = true
		s.EventTypes = append(s.EventTypes, et)
		for i := 0; ; i++ {
			data, err := catalogue.Example(&et, i)
			if err != nil {
				break // there are no more
			}
			s.examples = append(s.examples, example{et.Name, data})
		}
	}
	s.decoder, err = event.NewDecoder(s.Source)
	return err
}

// Decode reads a record of the system's topic.
func (s *System) Decode(value []byte, headers iter.Seq2[string, []byte]) (*event.Event, error) {
	return s.decoder.Decode(event.Record{Value: value, Headers: headers})
}

// mapped reports whether the system writes plain JSON, not CloudEvents in binary mode.
func (s *System) mapped() bool { return s.Source.Format == event.FormatJSON }

// isoMillis is how Dixa and flexEngage write a time.
const isoMillis = "2006-01-02T15:04:05.000Z"

// dixa is how Dixa's events are read: plain JSON through a mapping, as in configs/production.yaml.
func dixa() event.Source {
	return event.Source{Name: "dixa", Format: event.FormatJSON, Mapping: event.Mapping{
		ID: "event_id", Type: "event_fqn", Tenant: "organization.id", Time: "event_timestamp", Data: "data",
	}}
}

func writeDixa(e *event.Event, owner Tenant) ([]byte, error) {
	type organization struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	return json.Marshal(struct {
		ID           string          `json:"event_id"`
		Type         string          `json:"event_fqn"`
		Version      string          `json:"event_version"`
		Time         string          `json:"event_timestamp"`
		Organization organization    `json:"organization"`
		Data         json.RawMessage `json:"data"`
	}{e.ID, e.Type, "1", e.Time.Format(isoMillis), organization{owner.UID, owner.Name}, e.Data})
}

// flexEngage is plain JSON, too, with other names; its ids are ULIDs.
func flexEngage() event.Source {
	return event.Source{Name: "flexengage", Format: event.FormatJSON, Mapping: event.Mapping{
		ID: "id", Type: "type", Tenant: "brandId", Time: "created", Data: "data",
	}}
}

func writeFlexEngage(e *event.Event, owner Tenant) ([]byte, error) {
	id, err := ident.ParseUUID(e.ID)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		ID    string          `json:"id"`
		Brand string          `json:"brandId"`
		Time  string          `json:"created"`
		Type  string          `json:"type"`
		Data  json.RawMessage `json:"data"`
	}{newULID(id, e.Time), owner.UID, e.Time.Format(isoMillis), e.Type, e.Data})
}

func newULID(id ident.ID, at time.Time) string {
	u := ulid.ULID(id)
	_ = u.SetTime(ulid.Timestamp(at)) // fails after the year 10889 only
	return u.String()
}

// writeData is the value of a CloudEvent in binary mode: the data alone. The rest is in headers.
func writeData(e *event.Event, _ Tenant) ([]byte, error) { return e.Data, nil }
