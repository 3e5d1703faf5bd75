package app

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
)

// auditWindow is how many records of each partition one call reads at most: a change is about a kilobyte.
const auditWindow = 2000

// auditLog reads the audit topic, backwards.
type auditLog struct {
	conf   kafka.Config
	topic  string
	reader *kafka.Reader
	log    *slog.Logger
}

// auditStretch is what was read of one partition.
type auditStretch struct {
	// from and to bound it; start is the first offset that the partition still has.
	from, to, start int64
	entries         []auditEntry // newest first
}

type auditEntry struct {
	audit.Entry
	offset int64
}

// Entries returns at most limit entries, newest first, of a tenant or, for the zero tenant, all. See api.AuditLog.
func (l *auditLog) Entries(ctx context.Context, tenant ident.ID, iterator string, limit int) ([]audit.Entry, string, error) {
	partitions, err := kafka.Partitions(ctx, l.conf, l.topic)
	if err != nil {
		return nil, "", err
	}
	cursor, err := parseCursor(iterator, int(partitions))
	if err != nil {
		return nil, "", err
	}
	stretches := make([]*auditStretch, partitions)
	for p := range stretches {
		if stretches[p], err = l.read(ctx, int32(p), cursor[p], tenant); err != nil {
			return nil, "", err
		}
	}
	entries, next := mergeStretches(stretches, limit)
	return entries, next, nil
}

var errEnough = errors.New("read up to where the caller is")

// read reads the window of a partition that ends at to, exclusive; -1 is the end of the log.
func (l *auditLog) read(ctx context.Context, partition int32, to int64, tenant ident.ID) (*auditStretch, error) {
	from := int64(-auditWindow)
	if to >= 0 {
		from = max(to-auditWindow, 0)
	}
	s := &auditStretch{to: to}
	if to == 0 {
		return s, nil
	}
	ends, err := l.reader.Range(ctx, l.topic, partition, from, func(r *kafka.Record) error {
		if to >= 0 && r.Offset >= to {
			return errEnough
		}
		e, err := audit.Read(r.Value)
		if err != nil {
			l.log.Warn("passing over an audit record", "partition", partition, "offset", r.Offset, "error", err)
			return nil
		}
		if tenant.IsZero() || e.Tenant == tenant {
			s.entries = append(s.entries, auditEntry{*e, r.Offset})
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	if to < 0 {
		s.to, from = ends.End, ends.End-auditWindow
	}
	s.start, s.from = ends.Start, max(from, ends.Start)
	slices.Reverse(s.entries)
	return s, nil
}

// mergeStretches takes the newest entries of all stretches and says where the next call goes on. Entries of one partition are
// in order; between partitions the order holds within a page, as far back as each was read.
func mergeStretches(stretches []*auditStretch, limit int) ([]audit.Entry, string) {
	type candidate struct {
		auditEntry
		partition int
	}
	var all []candidate
	for p, s := range stretches {
		for _, e := range s.entries {
			all = append(all, candidate{e, p})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return b.At.Compare(a.At) })
	more := len(all) > limit
	if more {
		all = all[:limit]
	}
	cursor := make([]string, len(stretches))
	taken := make([]int64, len(stretches))
	count := make([]int, len(stretches))
	for _, c := range all {
		taken[c.partition], count[c.partition] = c.offset, count[c.partition]+1
	}
	for p, s := range stretches {
		at := s.from // all that it has was taken
		switch {
		case count[p] < len(s.entries) && count[p] == 0:
			at = s.to
		case count[p] < len(s.entries):
			at = taken[p]
		}
		more = more || at > s.start
		cursor[p] = strconv.FormatInt(max(at, 0), 10)
	}
	entries := make([]audit.Entry, 0, len(all))
	for _, c := range all {
		entries = append(entries, c.Entry)
	}
	if !more {
		return entries, ""
	}
	return entries, base64.RawURLEncoding.EncodeToString([]byte(strings.Join(cursor, ",")))
}

// parseCursor reads an iterator: the offset that each partition is read up to, -1 for its end.
func parseCursor(iterator string, partitions int) ([]int64, error) {
	cursor := slices.Repeat([]int64{-1}, partitions)
	if iterator == "" {
		return cursor, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(iterator)
	parts := strings.Split(string(raw), ",")
	if err != nil || len(parts) != partitions {
		return nil, audit.ErrIterator
	}
	for i, text := range parts {
		if cursor[i], err = strconv.ParseInt(text, 10, 64); err != nil || cursor[i] < 0 {
			return nil, cmp.Or(audit.ErrIterator, err)
		}
	}
	return cursor, nil
}
