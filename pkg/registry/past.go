package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/form"
)

// Past makes the registry as it was at versions that are gone by. The log is compacted: how far back it holds every record is
// a matter of its topic, see min_compaction_lag there, and for whoever asks to find out. It is for one goroutine.
type Past struct {
	log Log
	now *Snapshot
	// ahead is what was read and is not in now.
	ahead []pastRecord
	next  int64 // to read on at
	kept  []*Snapshot
}

type pastRecord struct {
	offset     int64
	key, value []byte
}

// maxKept bounds the snapshots that a [Past] keeps for those who ask again. They share all but what changed between them.
const maxKept = 1024

// NewPast returns the past of a log. Nothing is read yet. Secrets stay sealed.
func NewPast(log Log) *Past { return &Past{log: log} }

// At returns the registry of a version. Asking for rising versions reads the log once; for one that was not asked for lately
// it is read from its start. A version that the log does not reach is an error.
func (p *Past) At(ctx context.Context, version int64) (*Snapshot, error) {
	if i, ok := p.find(version); ok {
		return p.kept[i], nil
	}
	end, err := p.log.End(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the registry's end: %w", err)
	}
	if version > end {
		return nil, fmt.Errorf("registry ends at version %d: there is no version %d yet, or the log is another one", end, version)
	}
	if p.now == nil || version < p.now.version {
		start, err := p.log.Start(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking for the registry's start: %w", err)
		}
		p.now, p.ahead, p.next = Empty(), nil, start
	}
	if err := p.advance(ctx, version); err != nil {
		p.now = nil // some of what was ahead is in neither
		return nil, err
	}
	if len(p.kept) >= maxKept {
		p.kept = slices.Delete(p.kept, 0, maxKept/2)
	}
	i, _ := p.find(version)
	p.kept = slices.Insert(p.kept, i, p.now)
	return p.now, nil
}

// find returns where a version is among those that are kept, or where it belongs.
func (p *Past) find(version int64) (int, bool) {
	return slices.BinarySearchFunc(p.kept, version, func(s *Snapshot, v int64) int { return cmp.Compare(s.version, v) })
}

// advance brings now to a version that is not below it.
func (p *Past) advance(ctx context.Context, version int64) error {
	b := p.now.builder()
	for {
		n := 0
		for n < len(p.ahead) && p.ahead[n].offset < version {
			r := p.ahead[n]
			if _, err := b.apply(r.offset, r.key, r.value); errors.Is(err, form.ErrNewer) {
				return fmt.Errorf("reading the registry's past, offset %d: %w", r.offset, err)
			} // who follows the log passes over what else cannot be read, and so does this
			n++
		}
		p.ahead = p.ahead[n:]
		if len(p.ahead) > 0 || p.next >= version {
			p.now = b.snapshot(version)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("reading the registry's past: %w", context.Cause(ctx))
		}
		var err error
		p.next, err = p.log.Read(ctx, p.next, func(offset int64, key, value []byte) {
			p.ahead = append(p.ahead, pastRecord{offset, key, value})
		})
		if err != nil {
			return fmt.Errorf("reading the registry's past: %w", err)
		}
	}
}

// KnownFrom returns the lowest version from which on the log shows no trace of compaction: below it a tenant or subscription
// was changed or deleted of which there is no earlier record, so that what it was before is not known. It reads the whole log.
// A deletion that is itself gone leaves no trace.
func (p *Past) KnownFrom(ctx context.Context) (int64, error) {
	at, err := p.log.Start(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the registry's start: %w", err)
	}
	end, err := p.log.End(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the registry's end: %w", err)
	}
	from, seen := int64(0), map[Key]bool{}
	for at < end {
		if ctx.Err() != nil {
			return 0, fmt.Errorf("reading the registry's past: %w", context.Cause(ctx))
		}
		at, err = p.log.Read(ctx, at, func(offset int64, key, value []byte) {
			k, known, err := parseKey(key)
			if err != nil || !known || k.Kind != KindTenant && k.Kind != KindSubscription {
				return
			}
			if !seen[k] && !creates(value) {
				from = offset + 1
			}
			seen[k] = true
		})
		if err != nil {
			return 0, fmt.Errorf("reading the registry's past: %w", err)
		}
	}
	return from, nil
}

// creates reports whether the record of a tenant or subscription is the first of its object.
func creates(value []byte) bool {
	var o struct{ Created, Updated time.Time }
	return value != nil && json.Unmarshal(value, &o) == nil && o.Created.Equal(o.Updated)
}
