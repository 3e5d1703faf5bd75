package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/configs/demo"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/kafka"
)

// kafkaCmdEnv starts an embedded broker that has Postrider's topics and the topic "conversations" of a source "dixa", and
// points the environment at it.
func kafkaCmdEnv(t *testing.T) kafka.Config {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "conversations"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	t.Setenv("POSTRIDER_CONFIG", "")
	t.Setenv("POSTRIDER_KAFKA_BROKERS", strings.Join(cluster.ListenAddrs(), ","))
	t.Setenv("POSTRIDER_SOURCES", `[{name: dixa, topics: [conversations], format: json, mapping: {id: event_id, type: event_fqn,
		tenant: organization.id, time: event_timestamp, data: data}}, {name: many, pattern: "x\\..*"}]`)
	cfg := kafka.Config{Brokers: cluster.ListenAddrs(), Prefix: "postrider."}
	require.NoError(t, kafka.EnsureTopics(t.Context(), cfg, kafka.PlanOptions{Partitions: 2}))
	return cfg
}

// runKafkaCmd runs a command below a root with the flags of the program.
func runKafkaCmd(t *testing.T, cmd *cobra.Command, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "postrider", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().String("config", "", "configuration file")
	config.AddFlags(root.PersistentFlags())
	root.AddCommand(cmd)
	var out, errOut bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetArgs(append([]string{cmd.Name()}, args...))
	err = root.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

// consume returns n records of a topic.
func consumeRecords(t *testing.T, cfg kafka.Config, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kafka.NewClient(cfg, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), inTime)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		records = append(records, fetches.Records()...)
	}
	require.Len(t, records, n)
	return records
}

func demoFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.ndjson")
	require.NoError(t, os.WriteFile(path, demo.ConversationEvents, 0o600))
	return path
}

func TestSendFileTwice(t *testing.T) {
	cfg := kafkaCmdEnv(t)
	lines := strings.Split(strings.TrimSpace(string(demo.ConversationEvents)), "\n")
	_, stderr, err := runKafkaCmd(t, newSendCmd(), "", "--source", "dixa", "--repeat", "2", demoFile(t))
	require.NoError(t, err)
	require.Regexp(t, `^12\d events sent to conversations in `, stderr)
	records := consumeRecords(t, cfg, "conversations", 2*len(lines))
	values, ids, same := map[string]bool{}, map[string]bool{}, 0
	for _, r := range records {
		values[string(r.Value)] = true
		id, _, _ := strings.Cut(strings.TrimPrefix(string(r.Value), `{"event_id":"`), `"`)
		require.Len(t, id, 36, "a UUID stays one")
		ids[id] = true
		require.Contains(t, string(r.Value), `"organization":{"id":"`+string(r.Key)+`"`, "the key is the tenant")
	}
	for _, line := range lines {
		if values[line] {
			same++
		}
	}
	require.Equal(t, len(lines), same, "the first round is sent byte for byte")
	require.Len(t, ids, 2*len(lines), "every round has ids of its own")
}

func TestSendCloudEventsFromStandardInput(t *testing.T) {
	cfg := kafkaCmdEnv(t)
	const event = `{"specversion":"1.0","id":"1","source":"/o","type":"order.created","tenant":"acme","data":{ "a" : 1 }}`
	_, stderr, err := runKafkaCmd(t, newSendCmd(), "["+event+",\n "+strings.Replace(event, `"1"`, `"2"`, 1)+"]", "--rate", "1000")
	require.NoError(t, err)
	require.Contains(t, stderr, "2 events sent to postrider.events")
	r := consumeRecords(t, cfg, "postrider.events", 2)[0]
	require.Empty(t, cmp.Diff(event, string(r.Value)), "byte for byte")
	require.Equal(t, "acme", string(r.Key))
	require.Equal(t, []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}, r.Headers)
}

func TestSendRefuses(t *testing.T) {
	cfg := kafkaCmdEnv(t)
	good := strings.SplitAfter(string(demo.ConversationEvents), "\n")[0]
	path := filepath.Join(t.TempDir(), "bad.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(good+"\n"+`{"event_id":"1"}`+"\n"), 0o600))

	_, _, err := runKafkaCmd(t, newSendCmd(), "", "--source", "dixa", path)
	require.ErrorContains(t, err, "bad.ndjson: line 3: no_data: data: missing")
	_, stderr, err := runKafkaCmd(t, newSendCmd(), "", "--source", "dixa", "--unchecked", path)
	require.NoError(t, err)
	require.Contains(t, stderr, "2 events sent")
	consumeRecords(t, cfg, "conversations", 2) // and none of the refused run

	for _, tt := range []struct{ want, args string }{
		{`--source: "nobody": want one of the configured sources ["events" "dixa" "many"]`, "--source nobody"},
		{`--topic: missing: source "many" has a pattern`, "--source many"},
		{"--repeat: want a file", "--repeat 2"},
		{"want a positive number", "--repeat 0"},
	} {
		_, _, err := runKafkaCmd(t, newSendCmd(), "", strings.Fields(tt.args)...)
		require.ErrorContains(t, err, tt.want)
	}
}

func TestSendToATopicThatDoesNotExist(t *testing.T) {
	kafkaCmdEnv(t)
	_, stderr, err := runKafkaCmd(t, newSendCmd(), "", "--source", "dixa", "--topic", "nowhere", demoFile(t))
	require.EqualError(t, err, "topics [nowhere] do not exist: create them, since Postrider only creates its own")
	require.Empty(t, stderr)
}

func TestUnreachableKafkaIsOneLine(t *testing.T) {
	t.Setenv("POSTRIDER_CONFIG", "")
	t.Setenv("POSTRIDER_KAFKA_BROKERS", "127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	cmd := newOutcomesCmd()
	cmd.SetArgs(nil)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(ctx)
	require.ErrorContains(t, err, "kafka.brokers: [127.0.0.1:1] cannot be reached")
	require.NotContains(t, err.Error(), "\n")
}

func TestEventInput(t *testing.T) {
	type value struct {
		text string
		line int
	}
	for _, tt := range []struct {
		name, in string
		want     []value
		err      string
	}{
		{name: "nothing", in: " \n\n"},
		{name: "lines", in: "{\"a\": 1}\n\n{\"b\":2}\n", want: []value{{`{"a": 1}`, 1}, {`{"b":2}`, 3}}},
		{name: "no newline at the end", in: `{}`, want: []value{{`{}`, 1}}},
		{name: "over several lines", in: "\n{\n\"a\":1}\n{}", want: []value{{"{\n\"a\":1}", 2}, {"{}", 4}}},
		{name: "array", in: "\n[{},\n\n [1] , {}\n]\n", want: []value{{"{}", 2}, {"[1]", 4}, {"{}", 4}}},
		{name: "empty array", in: "[]"},
		{name: "broken line", in: "{}\n{]\n{}", want: []value{{"{}", 1}}, err: "line 2: "},
		{name: "unfinished", in: "{}\n{\"a\":", want: []value{{"{}", 1}}, err: "unexpected EOF"},
		{name: "unfinished array", in: "[{}\n", want: []value{{"{}", 1}}, err: "the array does not end"},
		{name: "after the array", in: "[{}]\n1", want: []value{{"{}", 1}}, err: "something follows the array"},
		{name: "too large", in: `"` + strings.Repeat("a", maxReadAhead+1<<20), err: "a value is larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := newEventInput(iotestOneByte{strings.NewReader(tt.in)})
			var got []value
			for {
				text, line, err := in.next()
				if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					require.Empty(t, tt.err)
					break
				}
				if err != nil {
					require.NotEmpty(t, tt.err, "%v", err)
					require.ErrorContains(t, err, tt.err)
					break
				}
				got = append(got, value{string(text), line})
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// iotestOneByte reads in small pieces, so that every boundary falls somewhere.
type iotestOneByte struct{ r io.Reader }

func (r iotestOneByte) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), 7)]) }
