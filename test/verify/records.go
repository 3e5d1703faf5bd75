package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/records"
)

// eachForm is how many records of each form are kept.
const eachForm = 2

// keepRecords writes some records of every form in every topic, from before a time, to a file of the directory that is named by the
// release which wrote them.
func (in *installation) keepRecords(ctx context.Context, directory, release string, before time.Time) error {
	all, err := in.Admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	var kept []records.Record
	for _, name := range slices.Sorted(maps.Keys(all)) {
		topic, own := strings.CutPrefix(name, in.Prefix)
		if !own || topic == "events" { // which others write
			continue
		}
		seen := map[string]int{}
		err := in.Read(ctx, topic, func(r *kgo.Record) error {
			k := keptRecord(topic, r)
			if f := formOf(&k); r.Timestamp.Before(before) && seen[f] < eachForm {
				seen[f]++
				kept = append(kept, k)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(kept, "", "\t")
	if err != nil {
		return fmt.Errorf("encoding records: %w", err)
	}
	if err := os.WriteFile(filepath.Join(directory, release+".json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing records: %w", err)
	}
	in.tell("records of "+release+" kept", "%d", len(kept))
	return nil
}

func keptRecord(topic string, r *kgo.Record) records.Record {
	k := records.Record{Topic: topic, Key: string(r.Key), Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UTC(), Value: string(r.Value)}
	for _, h := range r.Headers {
		k.Headers = append(k.Headers, records.Header{Name: h.Key, Value: string(h.Value)})
	}
	return k
}

// formOf tells records of different forms apart: by the words of the key, the headers, and the members of the value with
// those that are one of few.
func formOf(k *records.Record) string {
	kind, rest, _ := strings.Cut(k.Key, "/")
	if len(kind) == len("00000000-0000-0000-0000-000000000000") {
		kind, _, _ = strings.Cut(rest, ".")
	}
	parts := []string{kind}
	for _, h := range k.Headers {
		parts = append(parts, h.Name+" "+map[string]string{"pr-reason": h.Value}[h.Name])
	}
	var value map[string]any
	_ = json.Unmarshal([]byte(k.Value), &value) // what is none has no members
	for _, name := range slices.Sorted(maps.Keys(value)) {
		text, _ := value[name].(string)
		parts = append(parts, name+" "+map[string]string{"verdict": text, "reason": text, "type": text, "action": text}[name])
	}
	return strings.Join(parts, "\n")
}
