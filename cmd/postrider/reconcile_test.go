package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/history"
	"github.com/postrider/postrider/pkg/kafka"
)

func requireExit(t *testing.T, want int, err error) {
	t.Helper()
	var code exitCode
	require.ErrorAs(t, err, &code)
	require.Equal(t, want, code.ExitCode())
}

// The exit code says what was found: nothing, something wrong, or that not all could be proven.
func TestReconcileExitCodes(t *testing.T) {
	cfg := kafkaCmdEnv(t)
	client, err := kafka.NewClient(cfg)
	require.NoError(t, err)
	defer client.Close()

	out, _, err := runKafkaCmd(t, newReconcileCmd(), "", "--source", "postrider.events")
	require.NoError(t, err)
	require.Contains(t, out, "All is accounted for.")

	var last *kgo.Record
	for i := range 3 {
		last = &kgo.Record{Topic: "postrider.events", Partition: 0, Key: []byte("k"), Value: fmt.Appendf(nil, "%d", i)}
		require.NoError(t, client.ProduceSync(t.Context(), last).FirstErr())
	}
	out, _, err = runKafkaCmd(t, newReconcileCmd(), "", "--source", "postrider.events")
	requireExit(t, exitUnproven, err)
	require.Contains(t, out, "3 cannot be proven: not_routed\n")

	admin := kadm.NewClient(client)
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: last.Topic, Partition: last.Partition, At: 2, LeaderEpoch: -1})
	require.NoError(t, admin.CommitAllOffsets(t.Context(), "postrider.router", offsets))
	out, _, err = runKafkaCmd(t, newReconcileCmd(), "", "--source", "postrider.events", "--to", fmt.Sprintf("%d:2", last.Partition))
	requireExit(t, exitFound, err)
	require.Contains(t, out, fmt.Sprintf("hole  %d/0–1", last.Partition))
	require.Contains(t, out, "1 found to be wrong.")

	out, _, err = runKafkaCmd(t, newReconcileCmd(), "", "--source", "postrider.events", "-o", "json")
	requireExit(t, exitFound, err)
	var report history.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, map[history.Kind]int{history.Hole: 1}, report.Found)
	require.Equal(t, map[history.Cause]int64{history.NotRouted: 1}, report.Unprovable)
	require.Equal(t, history.EventCounts{Records: 3, InHoles: 2, Unprovable: 1}, report.Events)
}

func TestReconcileRefusesBadFlags(t *testing.T) {
	kafkaCmdEnv(t)
	for want, args := range map[string][]string{
		"--source: missing":     {},
		`--from: "soon": want`:  {"--source", "postrider.events", "--from", "soon"},
		`--to: "12": want`:      {"--source", "postrider.events", "--to", "12"},
		"--at-once: 0: want":    {"--source", "postrider.events", "--at-once", "0"},
		"--source: no source":   {"--source", "elsewhere"},
		"has no partition 99":   {"--source", "postrider.events", "--from", "99:0"},
		`--output: "xml": want`: {"--source", "postrider.events", "-o", "xml"},
	} {
		_, _, err := runKafkaCmd(t, newReconcileCmd(), "", args...)
		require.ErrorContains(t, err, want, "%v", args)
	}
}
