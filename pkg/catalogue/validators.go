package catalogue

import (
	"container/list"
	"encoding/json"
	"fmt"
	"sync"
)

// Validators checks payloads against the schemas of event types. It keeps the compiled schemas of the event types used
// last. All methods may be called concurrently.
type Validators struct {
	max int

	mu    sync.Mutex
	byKey map[validatorKey]*list.Element // of *validator
	used  list.List                      // most recently first
}

type validatorKey struct {
	name    string
	version int64
}

// copies is how many compiled copies of one schema are kept at most: each is used by one goroutine at a time, and who
// finds none free waits. A check takes some tens of microseconds.
const copies = 4

// validator is what is known about one version of an event type.
type validator struct {
	key validatorKey
	// free are the copies that nobody uses, unmade one token for each that was not made yet.
	free   chan *compiled
	unmade chan struct{}
}

// NewValidators returns a cache of the compiled schemas of at most limit event types, at least one.
func NewValidators(limit int) *Validators {
	return &Validators{max: max(limit, 1), byKey: make(map[validatorKey]*list.Element)}
}

// Check returns a [*PayloadError] if payload is no JSON, is larger than [MaxPayload] or does not fit the current schema
// of et; nil if it fits or et has no schema; another error only if the schema does not compile, which [Validate] would
// have told. et.Name and et.Version must name its content: a changed event type has another version. Event types that
// were never written (version 0) are compiled anew each time.
func (vs *Validators) Check(et *EventType, payload []byte) error {
	version, raw, ok := et.Current()
	if !ok {
		return nil
	}
	v := vs.get(et)
	c, err := v.take(raw)
	if err != nil {
		return fmt.Errorf("compiling schema %s of %s: %w", version, et.Name, err)
	}
	defer func() { v.free <- c }()
	if problems := c.check(payload); len(problems) > 0 {
		return &PayloadError{EventType: et.Name, SchemaVersion: version, Problems: problems}
	}
	return nil
}

// check returns the problems of a payload.
func (c *compiled) check(payload []byte) []Problem {
	if n := len(payload); n > MaxPayload {
		return []Problem{{Path: "$", Want: fmt.Sprintf("at most %d bytes, got %d", MaxPayload, n)}}
	}
	data, err := decodeJSON(payload)
	if err != nil {
		return []Problem{{Path: "$", Want: "JSON: the payload " + err.Error()}}
	}
	return c.validate(data, len(payload), MaxProblems)
}

// get returns the validator of et, which is then the one used last.
func (vs *Validators) get(et *EventType) *validator {
	key := validatorKey{et.Name, et.Version}
	if et.Version == 0 {
		return newValidator(key)
	}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if e, ok := vs.byKey[key]; ok {
		vs.used.MoveToFront(e)
		return e.Value.(*validator)
	}
	v := newValidator(key)
	vs.byKey[key] = vs.used.PushFront(v)
	if vs.used.Len() > vs.max {
		oldest := vs.used.Remove(vs.used.Back()).(*validator)
		delete(vs.byKey, oldest.key)
	}
	return v
}

func newValidator(key validatorKey) *validator {
	v := &validator{key: key, free: make(chan *compiled, copies), unmade: make(chan struct{}, copies)}
	for range copies {
		v.unmade <- struct{}{}
	}
	return v
}

// take returns a copy that is free, makes another if there may be one more, or waits. The taker gives it back to free.
func (v *validator) take(raw json.RawMessage) (*compiled, error) {
	select {
	case c := <-v.free:
		return c, nil
	default:
	}
	select {
	case c := <-v.free:
		return c, nil
	case <-v.unmade:
		c, err := compile(raw)
		if err != nil {
			v.unmade <- struct{}{}
		}
		return c, err
	}
}
