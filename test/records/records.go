// Package records has what releases have written to Kafka, so that the tests of those who read it prove that they still can. After
// a release, its records are kept with
//
//	go run ./test/verify --only upgrade --short --previous TAG --records topics/testdata/records
package records

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Record is a record of one of Postrider's topics, whose name is without the prefix.
type Record struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Timestamp time.Time `json:"timestamp"`
	Key       string    `json:"key"`
	Headers   []Header  `json:"headers,omitempty"`
	Value     string    `json:"value"`
}

// Header is a header of a record.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// All yields the headers.
func (r *Record) All(yield func(string, []byte) bool) {
	for _, h := range r.Headers {
		if !yield(h.Name, []byte(h.Value)) {
			return
		}
	}
}

// Of calls test for each record of the topics that a release has written, as a test of its own for each release. There must be
// one that has some.
func Of(t *testing.T, test func(t *testing.T, r *Record), topics ...string) {
	t.Helper()
	files, err := filepath.Glob("../../topics/testdata/records/*.json")
	require.NoError(t, err)
	n := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var all []Record
		require.NoError(t, json.Unmarshal(text, &all))
		t.Run(filepath.Base(file), func(t *testing.T) {
			for i := range all {
				if slices.Contains(topics, all[i].Topic) {
					n++
					test(t, &all[i])
				}
			}
		})
	}
	require.Positive(t, n, "no release has records of %v", topics)
}
