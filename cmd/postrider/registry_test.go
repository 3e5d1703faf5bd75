package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/seal"
)

// registryBroker starts an embedded broker with the topics of an empty registry and points the environment at it.
func registryBroker(t *testing.T) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer client.Close()
	compacted := "compact"
	admin := kadm.NewClient(client)
	_, err = admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &compacted}, "postrider.registry")
	require.NoError(t, err)
	for _, journal := range []string{"postrider.audit", "postrider.operational"} {
		_, err = admin.CreateTopic(t.Context(), 1, 1, nil, journal)
		require.NoError(t, err)
	}
	t.Setenv("POSTRIDER_KAFKA_BROKERS", strings.Join(c.ListenAddrs(), ","))
	keyset, err := seal.Generate()
	require.NoError(t, err)
	text, err := keyset.JSON()
	require.NoError(t, err)
	t.Setenv("POSTRIDER_ENCRYPTION_KEYSET", text)
}

// command runs a command and returns what it prints.
func command(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const acme = `tenants:
  - uid: acme
    name: Acme
    subscriptions:
      - uid: orders
        url: https://erp.acme.com/events?token=canary
        eventTypes: [order.*]
        headers: {Authorization: Bearer canary}
      - uid: contacts
        url: https://crm.acme.com/
        eventTypes: [contact.*]
        profile: dixa
      - uid: off
        url: https://off.acme.com/
        disabled: true
`

var (
	secretPattern = regexp.MustCompile(`secret: (whsec_[A-Za-z0-9+/=]{32,}|[0-9a-f]{64})`)
	idPattern     = regexp.MustCompile(`(app|ep|msg|dlv)_[0-9A-Za-z]{27}`)
	spacePattern  = regexp.MustCompile(` {2,}`)
)

// stable replaces what differs from run to run, and the width of columns.
func stable(out string) string {
	out = secretPattern.ReplaceAllString(out, "secret: SECRET")
	return spacePattern.ReplaceAllString(idPattern.ReplaceAllString(out, "${1}_ID"), "  ")
}

func TestApplyGetMatch(t *testing.T) {
	registryBroker(t)
	path := file(t, "subscriptions.yaml", acme)

	out, err := command(t, newApplyCmd(), "-f", path, "--dry-run")
	require.NoError(t, err)
	require.Equal(t, `created  tenant acme (app_ID)
created  subscription acme/orders (ep_ID) secret: made when applied
created  subscription acme/contacts (ep_ID) secret: made when applied
created  subscription acme/off (ep_ID) secret: made when applied
4 created, 0 updated, 0 unchanged, 0 deleted at registry version 0 (dry run: nothing was written)
`, stable(out))

	out, err = command(t, newApplyCmd(), "-f", path)
	require.NoError(t, err)
	require.Equal(t, `created  tenant acme (app_ID)
created  subscription acme/orders (ep_ID) secret: SECRET
created  subscription acme/contacts (ep_ID) secret: SECRET
created  subscription acme/off (ep_ID) secret: SECRET
4 created, 0 updated, 0 unchanged, 0 deleted at registry version 4
`, stable(out))
	secret := secretPattern.FindStringSubmatch(out)[1]

	out, err = command(t, newApplyCmd(), "-f", path)
	require.NoError(t, err)
	require.Equal(t, `unchanged tenant acme (app_ID)
unchanged subscription acme/orders (ep_ID)
unchanged subscription acme/contacts (ep_ID)
unchanged subscription acme/off (ep_ID)
0 created, 0 updated, 4 unchanged, 0 deleted at registry version 5
`, stable(out))

	t.Run("get", func(t *testing.T) { testGet(t, secret) })
	t.Run("match", testMatch)

	less, _, _ := strings.Cut(acme, "      - uid: contacts")
	out, err = command(t, newApplyCmd(), "-f", file(t, "less.yaml", less), "--prune")
	require.NoError(t, err)
	require.Contains(t, out, "deleted   subscription acme/contacts")
	require.Contains(t, out, "0 created, 0 updated, 2 unchanged, 2 deleted")
}

func testGet(t *testing.T, secret string) {
	out, err := command(t, newGetCmd(), "tenants")
	require.NoError(t, err)
	require.Equal(t, "ID  UID  NAME  PROFILE  SUBSCRIPTIONS\napp_ID  acme  Acme  standard  3\n", stable(out))

	out, err = command(t, newGetCmd(), "subscriptions", "--tenant", "acme")
	require.NoError(t, err)
	require.Contains(t, stable(out), "ep_ID  acme  orders  enabled  standard  order.*  https://erp.acme.com/events\n")
	require.Contains(t, stable(out), "ep_ID  acme  contacts  enabled  dixa  contact.*  https://crm.acme.com/\n")
	require.Contains(t, stable(out), "ep_ID  acme  off  disabled  standard  all  https://off.acme.com/\n")

	for _, format := range []string{"table", "json", "yaml"} {
		out, err = command(t, newGetCmd(), "subscriptions", "orders", "--tenant", "acme", "-o", format)
		require.NoError(t, err)
		require.NotContains(t, out, "canary", format)
		require.NotContains(t, out, secret, format)
		require.NotContains(t, out, "contacts", format)
	}
	out, err = command(t, newGetCmd(), "subscriptions", idPattern.FindString(out), "-o", "json", "--show-secrets")
	require.NoError(t, err)
	require.Contains(t, out, secret)
	require.Contains(t, out, "Bearer canary")

	for _, args := range [][]string{
		{"tenants", "nobody"},
		{"subscriptions", "orders"},
		{"subscriptions", "x", "--tenant", "acme"},
		{"subscriptions", "--tenant", "nobody"},
		{"events"},
		{"tenants", "-o", "xml"},
	} {
		_, err = command(t, newGetCmd(), args...)
		require.Error(t, err, args)
	}
}

func testMatch(t *testing.T) {
	ev := file(t, "event.json", `{"specversion":"1.0","id":"7","source":"/shop","type":"order.created","tenant":"acme",
		"time":"2026-03-04T05:06:07Z","data":{"a":1}}`)
	out, err := command(t, newMatchCmd(), ev)
	require.NoError(t, err)
	require.Contains(t, stable(out), `source  events
tenant  acme (Acme, app_ID)
event source  /shop
event type  order.created
event id  7
event time  2026-03-04T05:06:07Z
data  7 bytes of application/json
message  msg_ID

deliveries: 1, at registry version 5
  orders  dlv_ID  standard  https://erp.acme.com/events
no delivery: 2
`)
	require.Contains(t, stable(out), "  contacts  wants contact.*\n")
	require.Contains(t, stable(out), "  off  is disabled\n")

	data := file(t, "data.json", `{"a":1}`)
	out, err = command(t, newMatchCmd(), data, "--header", "ce_specversion=1.0", "--header", "ce_id=1",
		"--header", "ce_source=/a", "--header", "ce_type=x.y", "--header", "ce_tenant=nobody")
	require.NoError(t, err)
	require.Contains(t, stable(out), "tenant  nobody (unknown: no subscription can match)\n")

	_, err = command(t, newMatchCmd(), data)
	require.ErrorContains(t, err, "no source of plain JSON is configured")
	_, err = command(t, newMatchCmd(), file(t, "bad.json", `{"specversion":"1.0","id":"7","source":"/shop"}`))
	require.ErrorContains(t, err, "would be rejected")

	t.Setenv("POSTRIDER_SOURCES", "[{name: crm, format: json, topics: [crm], mapping: {id: id, type: kind, tenant: org}}]")
	out, err = command(t, newMatchCmd(), file(t, "plain.json", `{"id":1,"kind":"contact.created","org":"acme"}`))
	require.NoError(t, err)
	require.Contains(t, stable(out), "source  crm\n")
	require.Contains(t, stable(out), "  contacts  dlv_ID  dixa  https://crm.acme.com/\n")
}

func TestApplyTellsAllErrors(t *testing.T) {
	registryBroker(t)
	path := file(t, "bad.yaml", strings.NewReplacer("https://erp", "http://erp", "order.*", "order*", "dixa", "dixia",
		"Authorization: Bearer", "Webhook-Id:").Replace(acme))
	_, err := command(t, newApplyCmd(), "-f", path)
	require.Error(t, err)
	text := strings.ReplaceAll(err.Error(), path, "bad.yaml")
	for _, want := range []string{
		`bad.yaml:6:9: tenants[0].subscriptions[0].url: scheme "http", want https`,
		`bad.yaml:7:22: tenants[0].subscriptions[0].eventTypes[0]: "order*": * stands`,
		`bad.yaml:8:19: tenants[0].subscriptions[0].headers.Webhook-Id: `,
		`bad.yaml:12:9: tenants[0].subscriptions[1].profile: "dixia": want cloudevents, `,
	} {
		require.Contains(t, text, want)
	}
	require.Len(t, strings.Split(text, "\n"), 4)
	require.NotContains(t, text, "canary")

	_, err = command(t, newApplyCmd(), "-f", "missing.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
	out, err := command(t, newGetCmd(), "tenants")
	require.NoError(t, err)
	require.NotContains(t, out, "acme", "something was written")
}
