package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/topics"
)

// OutcomeLog finds outcomes by time; [kafka.Reader] is one. All methods may be called concurrently.
type OutcomeLog interface {
	RangeReader
	// Since returns where the records of a topic since a time start, and where they end.
	Since(ctx context.Context, topic string, at time.Time) (map[int32]kafka.Ends, error)
}

// Histories reads what was tried of a delivery, from the outcomes topic. All methods may be called concurrently.
type Histories struct {
	Topics Topics
	From   OutcomeLog
}

const (
	// maxHistory bounds the outcomes that are read for one delivery: some 100 MB, a second's work. A partition with more of
	// them between the first attempt and the last gives a history that is not complete.
	maxHistory = 100_000
	// historySlack is how far the clocks of writers and brokers may be apart.
	historySlack = 5 * time.Second
)

var errReadEnough = errors.New("read enough")

// Of returns the outcomes of a delivery between two times, in order, one for each distinct attempt, park or cancellation;
// and whether these are all that the log has.
func (h Histories) Of(ctx context.Context, d *delivery.Delivery, from, to time.Time) ([]outcome.Outcome, bool, error) {
	topic := h.Topics.Name(topics.Outcomes)
	since, err := h.From.Since(ctx, topic, from.Add(-historySlack))
	if err != nil {
		return nil, false, err
	}
	partition := kafka.PartitionOf([]byte(d.Subscription.UUID()), int32(len(since))) //nolint:gosec // Kafka counts them in 32 bits
	var rows []outcome.Outcome
	id, end, read, complete := []byte(d.ID.Base62(delivery.IDPrefix)), to.Add(historySlack), 0, true
	seen := map[delivery.Key]map[int]bool{}
	_, err = h.From.Range(ctx, topic, partition, since[partition].Start, func(r *kafka.Record) error {
		if r.Timestamp.After(end) {
			return errReadEnough
		}
		if read++; read > maxHistory {
			complete = false
			return errReadEnough
		}
		var row outcome.Outcome
		if !bytes.Contains(r.Value, id) {
			return nil
		}
		if err := json.Unmarshal(r.Value, &row); err != nil {
			return nil //nolint:nilerr // a row that nobody can read is not one of this delivery's
		}
		key, ok := rowKey(&row)
		if !ok || key.Delivery != d.ID || seen[key][row.Attempt] {
			return nil
		}
		if seen[key] == nil {
			seen[key] = map[int]bool{}
		}
		seen[key][row.Attempt] = true
		rows = append(rows, row)
		return nil
	})
	if err != nil && !errors.Is(err, errReadEnough) {
		return nil, false, fmt.Errorf("reading outcomes: %w", err)
	}
	return rows, complete, nil
}
