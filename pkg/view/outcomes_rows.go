package view

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/outcome"
)

// prepared is what is sent of the rows of a subscription. There are few event types, hours and counters, so they are looked
// for one by one.
type prepared struct {
	lists    []list
	hours    []hourRows
	counters []counterHash
}

// list are the last attempts of one event type, or of all.
type list struct {
	name    string
	entries []byte
	last    *Row // the one that started last
	status  []byte
}

type hourRows struct {
	hour  int64
	index []byte
}

// counterHash is a hash of counters: of the minutes of an hour, or the hours of a day.
type counterHash struct {
	steps  int
	of     int64
	counts []count
}

type count struct {
	field int
	n     int64
}

// prepareRows makes the arguments of [addRowsScript].
func (b *batch) prepareRows(g *group) {
	var p prepared
	for _, row := range g.rows {
		if row.attempted() {
			p.attempt("", row)
			p.attempt(row.EventType, row)
		}
		if row.hour() < b.oldest {
			continue
		}
		p.index(row)
		if row.hour() >= b.oldestMinutes {
			p.count(row, minutesOfHour)
		}
		p.count(row, hoursOfDay)
	}
	b.arguments(g, &p)
}

// attempt adds an attempt to a list.
func (p *prepared) attempt(name string, row *Row) {
	i := 0
	for i < len(p.lists) && p.lists[i].name != name {
		i++
	}
	if i == len(p.lists) {
		p.lists = append(p.lists, list{name: name})
	}
	l := &p.lists[i]
	l.entries = row.appendTimed(l.entries)
	if over := len(l.entries) - KeptAttempts*entryBytes; over > 0 {
		l.entries = l.entries[over:]
	}
	if entry := l.entries[len(l.entries)-entryBytes:]; l.last == nil || bytes.Compare(entry, l.status) > 0 {
		l.last, l.status = row, entry
	}
}

func (p *prepared) index(row *Row) {
	hour := row.hour()
	i := 0
	for i < len(p.hours) && p.hours[i].hour != hour {
		i++
	}
	if i == len(p.hours) {
		p.hours = append(p.hours, hourRows{hour: hour})
	}
	p.hours[i].index = row.appendIndexed(p.hours[i].index)
}

// count counts a row in the minutes of its hour or in the hours of its day.
func (p *prepared) count(row *Row, steps int) {
	ms := row.millis()
	of, step := ms/hourMillis, int(ms/minuteMillis%minutesOfHour)
	if steps == hoursOfDay {
		of, step = ms/dayMillis, int(ms/hourMillis%hoursOfDay)
	}
	i := 0
	for i < len(p.counters) && (p.counters[i].of != of || p.counters[i].steps != steps) {
		i++
	}
	if i == len(p.counters) {
		p.counters = append(p.counters, counterHash{steps: steps, of: of})
	}
	c := &p.counters[i]
	if row.attempted() {
		c.add(counterField(resultCode(row.Result), bucketOf(row.Duration), step, steps), 1)
		c.add(counterField(0, counterSum, step, steps), row.Duration.Microseconds())
		return
	}
	c.add(counterField(0, withoutAttempt(row.Verdict), step, steps), 1)
}

// withoutAttempt is the counter of a row that is no attempt.
func withoutAttempt(v outcome.Verdict) int {
	switch v {
	case outcome.Delivered:
		return counterNotSent
	case outcome.Cancelled:
		return counterCancelled
	case outcome.Dead:
		return counterDead
	case outcome.Parked, outcome.Retry:
		return counterParked
	}
	return counterParked
}

func (c *counterHash) add(field int, n int64) {
	if n == 0 {
		return
	}
	for i := range c.counts {
		if c.counts[i].field == field {
			c.counts[i].n += n
			return
		}
	}
	c.counts = append(c.counts, count{field, n})
}

const minuteMillis = hourMillis / 60

// script of rows; the SHA of its text is made once.
var rowsScript, messagesScript = redis.NewScript(addRowsScript), redis.NewScript(addMessagesScript) //nolint:gochecknoglobals // constants

func (b *batch) arguments(g *group, p *prepared) {
	keys, kept := b.r.subKeys(g.rows[0].Subscription), b.r.conf.EventRetention.Milliseconds()
	last := g.rows[len(g.rows)-1]
	g.script = rowsScript
	g.keys = append(make([]string, 0, 2+len(p.hours)+len(p.counters)), keys.statuses(), keys.lasts())
	types := p.lists
	if len(types) > 0 {
		types = types[1:] // the first is that of all
	}
	g.args = append(make([]any, 0, 16+4*len(p.lists)+16*len(p.counters)),
		int64(b.partition), g.rows[0].Offset, last.Offset, last.millis()+outcomesKept.Milliseconds(),
		last.millis()+statusKept.Milliseconds(), len(types), len(p.lists), len(p.hours), len(p.counters))
	for _, l := range types {
		g.types = append(g.types, l.last)
		g.args = append(g.args, l.name, l.status)
	}
	for _, l := range p.lists {
		g.args = append(g.args, l.name, l.entries)
	}
	for _, h := range p.hours {
		g.keys = append(g.keys, keys.hour(h.hour))
		g.args = append(g.args, h.index, (h.hour+1)*hourMillis+kept)
		g.fills = append(g.fills, func() string { return keys.hour(h.hour - 1) })
	}
	for _, c := range p.counters {
		if c.steps == minutesOfHour {
			g.keys = append(g.keys, keys.minutes(c.of))
			g.args = append(g.args, (c.of+1)*hourMillis+minutesKept.Milliseconds(), len(c.counts))
		} else {
			g.keys = append(g.keys, keys.hours(c.of))
			g.args = append(g.args, (c.of+1)*dayMillis+kept, len(c.counts))
		}
		for _, n := range c.counts {
			g.args = append(g.args, n.field, n.n)
		}
	}
}

// prepareMessages makes the arguments of [addMessagesScript].
func (b *batch) prepareMessages(g *group) {
	tag := b.r.messageTag(placeOfMessage(g.rows[0].Message).tag)
	places := make(map[string]int, len(g.rows))
	g.script = messagesScript
	g.keys = append(make([]string, 0, 1+len(g.rows)), tag+":o")
	g.args = append(make([]any, 0, 3+2*len(g.rows)),
		strconv.Itoa(int(b.partition)), g.rows[0].Offset, g.rows[len(g.rows)-1].Offset)
	kept := b.r.conf.EventRetention.Milliseconds()
	for _, row := range g.rows {
		day, at := row.millis()/dayMillis, placeOfMessage(row.Message)
		if day < b.oldestDay {
			continue
		}
		key := bucketKey(tag, day, at.bucket)
		i, ok := places[key]
		if !ok {
			i = len(g.args)
			places[key] = i
			g.keys = append(g.keys, key)
			g.args = append(g.args, make([]byte, 0, messageBytes), (day+1)*dayMillis+kept)
			g.fills = append(g.fills, func() string { return bucketKey(tag, day-1, at.bucket) })
		}
		entry, _ := g.args[i].([]byte)
		g.args[i] = row.appendMessage(entry, b.partition)
	}
}

// appendMessage writes the form of a message's bucket.
func (r *Row) appendMessage(b []byte, partition int32) []byte {
	rest := placeOfMessage(r.Message).rest
	b = append(b, rest[:]...)
	var offset [8]byte
	binary.BigEndian.PutUint64(offset[:], uint64(max(r.Offset, 0)))
	b = binary.BigEndian.AppendUint16(b, uint16(partition)) //nolint:gosec // no topic has more
	return append(b, offset[2:]...)
}
