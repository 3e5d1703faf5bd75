package view

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

// The parts of an entry in a member of an hour's list: the time within the hour, 3 bytes, and the message id, 16 bytes, both in
// their order, then one byte of flags and the rest of the entry. So members have the order of their first entries.
const (
	timeBytes   = 3
	memberBytes = timeBytes + len(ident.ID{})
)

// Flags of an entry.
const (
	flagTopic    byte = 0b0000_0011 // one of the topics below
	flagChannels byte = 0b0000_0100
	flagTags     byte = 0b0000_1000

	topicNamed      byte = 0 // its name follows
	topicEvents     byte = 1 // Postrider's own source topic
	topicDeliveries byte = 2
)

// Names of the topics that need none in an entry, without the prefix.
const (
	eventsTopic     = "events"
	deliveriesTopic = "deliveries"
)

// appendTo appends the entry to a chunk as one of a time in ms, but for its tenant and hour. An event of type contact.updated on
// Postrider's own topic is 40 bytes. A chunk is entries in their order, all within [chunkMillis] of the first.
func (e *EventEntry) appendTo(b []byte, prefix string, at int64) []byte {
	b = append(b, lexTime(at)...)
	b = append(b, e.Message[:]...)
	flags := topicNamed
	switch name, ours := strings.CutPrefix(e.Position.Topic, prefix); {
	case ours && name == eventsTopic:
		flags = topicEvents
	case ours && name == deliveriesTopic:
		flags = topicDeliveries
	}
	if len(e.Channels) > 0 {
		flags |= flagChannels
	}
	if len(e.Tags) > 0 {
		flags |= flagTags
	}
	b = append(b, flags)
	if flags&flagTopic == topicNamed {
		b = appendText(b, e.Position.Topic)
	}
	b = binary.AppendUvarint(b, uint64(uint32(e.Position.Partition))) //nolint:gosec // written and read back as it is
	b = binary.AppendUvarint(b, uint64(e.Position.Offset))            //nolint:gosec // written and read back as it is
	b = appendText(b, e.Type)
	for _, list := range [][]string{e.Channels, e.Tags} {
		if len(list) == 0 {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, s := range list {
			b = appendText(b, s)
		}
	}
	return b
}

// millis8 is a time in ms, big-endian.
func millis8(ms int64) (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], uint64(ms)) //nolint:gosec // not negative
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errMember = errors.New("reading the index: an entry is cut off or has another form")

// parseChunk reads the entries of a member of an hour's list.
func parseChunk(prefix string, tenant ident.ID, hour int64, chunk string) (entries []EventEntry, err error) {
	p := packed{rest: []byte(chunk)}
	for first := true; first || len(p.rest) > 0; first = false {
		if len(p.rest) <= memberBytes {
			return nil, errMember
		}
		var ms [8]byte
		copy(ms[8-timeBytes:], p.rest)
		e := EventEntry{
			Tenant: tenant, Message: ident.ID(p.rest[timeBytes:memberBytes]),
			Time: time.UnixMilli(hour*hourMillis + int64(binary.BigEndian.Uint64(ms[:]))).UTC(), //nolint:gosec // three bytes
		}
		flags := p.rest[memberBytes]
		p.rest = p.rest[memberBytes+1:]
		switch flags & flagTopic {
		case topicNamed:
			e.Position.Topic = p.text()
		case topicEvents:
			e.Position.Topic = prefix + eventsTopic
		case topicDeliveries:
			e.Position.Topic = prefix + deliveriesTopic
		default:
			return nil, errMember
		}
		e.Position.Partition = int32(p.number()) //nolint:gosec // as it was written
		e.Position.Offset = int64(p.number())    //nolint:gosec // as it was written
		e.Type = p.text()
		if flags&flagChannels != 0 {
			e.Channels = p.list()
		}
		if flags&flagTags != 0 {
			e.Tags = p.list()
		}
		if p.bad {
			return nil, errMember
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// packed is what was not read yet.
type packed struct {
	rest []byte
	bad  bool
}

func (p *packed) number() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 {
		p.bad, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *packed) text() string {
	n := p.number()
	if n > uint64(len(p.rest)) {
		p.bad, p.rest = true, nil
		return ""
	}
	s := string(p.rest[:n])
	p.rest = p.rest[n:]
	return s
}

func (p *packed) list() (out []string) {
	for n := p.number(); n > 0 && !p.bad; n-- {
		out = append(out, p.text())
	}
	return out
}

// Iterator names the entry's place in the lists of its tenant: 42 bits of its time in ms and 86 of its message id. In its
// msg_ form it is what clients of the Svix API expect an iterator to look like; it names no event.
func (e EventEntry) Iterator() ident.ID { return placeOf(e.Time.UnixMilli(), e.Message) }

const (
	placeTimeBits = 42 // of ms since 1970, up to the year 2109
	placeIDBits   = 64 - placeTimeBits
)

// placeOf makes an iterator. Times before 1970 and after 2109 are those ends.
func placeOf(ms int64, id ident.ID) ident.ID {
	at := uint64(min(max(ms, 0), 1<<placeTimeBits-1))
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	var out ident.ID
	binary.BigEndian.PutUint64(out[:8], at<<placeIDBits|hi>>placeTimeBits)
	binary.BigEndian.PutUint64(out[8:], hi<<placeIDBits|lo>>placeTimeBits)
	return out
}

// placeMillis is the time of an iterator.
func placeMillis(place ident.ID) int64 {
	return int64(binary.BigEndian.Uint64(place[:8]) >> placeIDBits)
}

// lexPlace is how the members begin whose first entry is at a place: the time within the hour and the first 80 of the 86 bits of the id.
func lexPlace(place ident.ID) string {
	hi, lo := binary.BigEndian.Uint64(place[:8]), binary.BigEndian.Uint64(place[8:])
	b := lexTime(placeMillis(place))
	b = binary.BigEndian.AppendUint64(b, hi<<placeTimeBits|lo>>placeIDBits)
	return string(binary.BigEndian.AppendUint64(b, lo<<placeTimeBits)[:timeBytes+10])
}

// lexTime is how the members begin whose first entry is of a time, ms.
func lexTime(at int64) []byte {
	ms := millis8(at % hourMillis)
	return ms[8-timeBytes:]
}

// lexAfter, put after how members begin, is above all of them: more than the rest of an id.
const lexAfter = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"

// published returns the message id of an event that was published with this id.
func published(tenant ident.ID, eventID string) ident.ID {
	return delivery.MessageID(tenant, delivery.PublishedSource, eventID)
}
