package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
)

// manyTenants is a file of tenants with names that begin so.
func manyTenants(n int, name string) string {
	var out strings.Builder
	fmt.Fprintf(&out, `{"format":"postrider-registry","version":1,"objects":%d}`+"\n", n)
	for i := range n {
		id := ident.Derive("test", fmt.Sprint(i))
		fmt.Fprintf(&out, `{"key":"tenant/%s","value":{"id":"%s","name":"%s %d"}}`+"\n", id, id, name, i)
	}
	return out.String()
}

// cancelling ends a context with the first that is written.
type cancelling struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (c *cancelling) Write(text []byte) (int, error) {
	c.cancel()
	return c.Buffer.Write(text)
}

func TestImportGoesOnWhereItEnded(t *testing.T) {
	registryBroker(t)
	out, err := command(t, newRegistryCmd(), "import", "-f", file(t, "old.jsonl", manyTenants(applyBatch+50, "Old")))
	require.NoError(t, err)
	require.Contains(t, out, fmt.Sprintf("%d created, 0 replaced", applyBatch+50))

	path := file(t, "new.jsonl", manyTenants(applyBatch+50, "New"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := newRegistryCmd()
	cmd.SetOut(&cancelling{cancel: cancel}) // what the first transaction replaced is printed after it
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"import", "-f", path, "--on-conflict", "replace"})
	err = cmd.ExecuteContext(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, fmt.Sprintf("new.jsonl: lines %d to %d: ", applyBatch+2, applyBatch+51))
	require.ErrorContains(t, err, fmt.Sprintf("\n%d of %d objects were written before that: run it again, it goes on", applyBatch, applyBatch+50))

	out, err = command(t, newRegistryCmd(), "import", "-f", path, "--on-conflict", "replace")
	require.NoError(t, err)
	require.Contains(t, out, fmt.Sprintf("0 created, 50 replaced, 0 skipped, %d unchanged", applyBatch))
}

func TestImportIsAudited(t *testing.T) {
	registryBroker(t)
	_, err := command(t, newRegistryCmd(), "import", "-f", file(t, "one.jsonl", manyTenants(1, "Acme")))
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("POSTRIDER_KAFKA_BROKERS")), kgo.ConsumeTopics("postrider.audit"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	fetches := client.PollFetches(t.Context())
	require.NoError(t, fetches.Err())
	entry, err := audit.Read(fetches.Records()[0].Value)
	require.NoError(t, err)
	require.Equal(t, audit.Created, entry.Action)
	require.Equal(t, "tenant", entry.Kind)
	require.Equal(t, audit.ActorCommand, entry.Actor.Kind)
	require.Contains(t, entry.Actor.Name, "postrider registry import by ")
}

func TestImportTellsSoMuchAndNoMore(t *testing.T) {
	registryBroker(t)
	_, err := command(t, newRegistryCmd(), "import", "-f", file(t, "old.jsonl", manyTenants(30, "Old")))
	require.NoError(t, err)
	_, err = command(t, newRegistryCmd(), "import", "-f", file(t, "new.jsonl", manyTenants(30, "New")))
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, maxImportErrors+2)
	require.Equal(t, "and 10 more", lines[maxImportErrors])
	require.Equal(t, "30 conflicts, nothing was written: choose --on-conflict skip or replace", lines[maxImportErrors+1])
}

// A record that only a later release understands is not in the file, and whoever has the file is told.
func TestExportTellsWhatItLacks(t *testing.T) {
	registryBroker(t)
	_, err := command(t, newRegistryCmd(), "import", "-f", file(t, "one.jsonl", manyTenants(1, "Acme")))
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("POSTRIDER_KAFKA_BROKERS")))
	require.NoError(t, err)
	defer client.Close()
	later := &kgo.Record{Topic: "postrider.registry", Key: []byte("group/7"), Value: []byte(`{}`)}
	require.NoError(t, client.ProduceSync(t.Context(), later).FirstErr())
	out, err := command(t, newRegistryCmd(), "export")
	require.EqualError(t, err, "the file is good but not complete: this release cannot read what the registry has of group/7: "+
		"export with the newest that writes to it")
	_, err = command(t, newRegistryCmd(), "import", "-f", file(t, "again.jsonl", out))
	require.NoError(t, err)
}
