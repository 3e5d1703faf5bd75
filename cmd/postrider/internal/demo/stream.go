package demo

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
)

// Event is a sample event as it goes to a source topic.
type Event struct {
	ID, Type, Tenant, Source string
	// Topic, Headers and Value are those of the record.
	Topic   string
	Headers []Header
	Value   []byte
	// Data is the digest of the bytes that subscribers are to get.
	Data [sha256.Size]byte
}

// Header is a header of a record.
type Header struct{ Name, Value string }

// strangerEvery is how often an event is not the tenant's but a stranger's, who subscribed to nothing: every fifth time.
const strangerEvery = 5

// stranger is another customer of the same systems.
func stranger() Tenant { return Tenant{"a429a12f-bbec-4b49-bfd2-d073f0f0a0d0", "Lumen Home"} }

// Stream gives the examples of some systems in turn, over and over, each time with ids and a time of its own. It is not
// safe for concurrent use.
type Stream struct {
	systems []System
	tenant  Tenant
	run     string
	n       int
}

// NewStream returns a stream of a tenant's events. The ids it gives depend on the run, which is another text every time.
func NewStream(systems []System, tenant Tenant, run string) *Stream {
	return &Stream{systems: systems, tenant: tenant, run: run}
}

// Next returns the next event, as if it happened now.
func (s *Stream) Next(now time.Time) (Event, error) {
	system, turn := &s.systems[s.n%len(s.systems)], s.n/len(s.systems)
	ex, pass := system.examples[turn%len(system.examples)], turn/len(system.examples)
	s.n++
	owner := s.tenant
	if s.n%strangerEvery == 0 {
		owner = stranger()
	}
	return system.event(&event.Event{
		Tenant: owner.UID, Source: "/" + system.Source.Name, ID: ident.Derive("postrider/demo", s.run, strconv.Itoa(s.n)).UUID(),
		Type: ex.eventType, Time: now.UTC().Truncate(time.Millisecond), ContentType: "application/json",
		Data: vary(ex.data, s.run, pass),
	}, owner)
}

// event writes e as the system does, and reads it again, as Postrider is to read it.
func (s *System) event(e *event.Event, owner Tenant) (Event, error) {
	value, err := s.write(e, owner)
	if err != nil {
		return Event{}, err
	}
	out := Event{Topic: s.Topic, Value: value}
	if !s.mapped() {
		for name, v := range e.Headers() {
			out.Headers = append(out.Headers, Header{name, v})
		}
	}
	read, err := s.Decode(value, out.headers())
	if err != nil {
		return Event{}, err
	}
	out.ID, out.Type, out.Tenant, out.Source, out.Data = read.ID, read.Type, read.Tenant, read.Source, sha256.Sum256(read.Data)
	return out, nil
}

func (ev *Event) headers() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, h := range ev.Headers {
			if !yield(h.Name, []byte(h.Value)) {
				return
			}
		}
	}
}

// ids are what names something in an example: UUIDs, ids such as call_01JM2Y8Q6T, and the numbers of Dixa's conversations.
var ids = regexp.MustCompile(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b(?:call|con|cmp|int)_\w+|"csid":\d+`)

// vary gives everything in an example an id that belongs to the pass: what a pass tells, it tells of the same people and
// conversations, and the next pass of others.
func vary(data []byte, run string, pass int) []byte {
	return ids.ReplaceAllFunc(data, func(old []byte) []byte {
		id := ident.Derive("postrider/demo/data", run, strconv.Itoa(pass), string(old))
		if prefix, _, ok := strings.Cut(string(old), "_"); ok {
			return []byte(id.Base62(prefix + "_"))
		}
		if name, _, ok := strings.Cut(string(old), ":"); ok {
			return strconv.AppendUint([]byte(name+":"), 1+uint64(binary.BigEndian.Uint16(id[:])), 10)
		}
		return []byte(id.UUID())
	})
}
