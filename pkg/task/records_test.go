package task_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/task"
)

// A task as it stands in the topic, whose next owner may be of another release; no release has kept one yet.
func TestTaskGolden(t *testing.T) {
	const text = `{"version":1,"id":"0b8f3a52-66f0-4d0f-8a3e-3b1d2f4c5e6a","tenant":"8c5ad2cf-4f1e-4a33-9f8e-0d7a1f6f6d11",` +
		`"kind":"endpoint.recover","subscription":"7e26024c-4ae5-4d62-9811-5670699841e1",` +
		`"filter":{"since":"2026-02-01T08:30:00Z","event_types":["order.created"],"reasons":["exhausted"],"status_class":500},` +
		`"per_second":500,"by":{"kind":"key","id":"k","name":"n"},"created":"2026-02-01T09:00:00Z","updated":"2026-02-01T09:00:01Z",` +
		`"status":"running","progress":{"counted":7,"done":3,"failed":1,"resumed":2},"cursor":{"offset":4},"marks":{"3":17}}`
	var one task.Task
	require.NoError(t, form.Read([]byte(text), &one, &one.Version, task.Version))
	again, err := json.Marshal(&one)
	require.NoError(t, err)
	require.JSONEq(t, text, string(again))
}
