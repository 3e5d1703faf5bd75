package app

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

const hush = "CANARY"

func journalSubscription() *subscription.Subscription {
	return &subscription.Subscription{
		ID: ident.New(), Tenant: ident.Derive("test", "acme"), UID: "orders", Version: 4,
		URL:     "https://u:" + hush + "@a.example/in?token=" + hush,
		Secrets: []string{hush}, Retired: []subscription.RetiredSecret{{Secret: hush}},
		Headers: map[string]string{"X-A": hush}, ClientIdentity: hush,
		Authorization: &subscription.Authorization{Token: hush},
		OAuth: &subscription.OAuth{
			TokenURL: "https://t.example/?k=" + hush, ClientSecret: hush, RefreshToken: hush,
			ExtraParams: map[string]string{"p": hush}, ExtraHeaders: map[string]string{"h": hush},
			JWT: &subscription.OAuthJWT{Key: hush},
		},
		Transformation: &subscription.Transformation{Code: ".", Variables: map[string]string{"v": hush}},
		Encryption:     &subscription.Encryption{Scheme: "jwe", Key: hush},
	}
}

func journalled(t *testing.T, by audit.Actor, done ...registry.Applied) (entries []audit.Entry, events []string) {
	t.Helper()
	audits, operationals := compiled(t, "audit.json"), compiled(t, "operational.json")
	records, err := Journal("p.", registry.Empty)(by, time.Now().UTC(), done)
	require.NoError(t, err)
	for _, r := range records {
		require.NotContains(t, string(r.Value), hush)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.Value))
		require.NoError(t, err)
		switch r.Topic {
		case "p." + topics.Audit:
			require.NoError(t, audits.Validate(doc), "%s", r.Value)
			var e audit.Entry
			require.NoError(t, json.Unmarshal(r.Value, &e))
			want := "operator"
			if !e.Tenant.IsZero() {
				want = e.Tenant.UUID()
			}
			require.Equal(t, want, r.Key)
			entries = append(entries, e)
		case "p." + topics.Operational:
			require.NoError(t, operationals.Validate(doc), "%s", r.Value)
			require.Equal(t, [][2]string{{"content-type", operational.ContentType}}, r.Headers)
			var e struct{ Type string }
			require.NoError(t, json.Unmarshal(r.Value, &e))
			events = append(events, e.Type)
		default:
			t.Errorf("topic %s", r.Topic)
		}
	}
	return entries, events
}

func compiled(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := topics.Schemas.ReadFile("schemas/" + name)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(name, doc))
	s, err := c.Compile(name)
	require.NoError(t, err)
	return s
}

func TestJournalOfSubscriptions(t *testing.T) {
	s := journalSubscription()
	key := registry.Key{Kind: registry.KindSubscription, ID: s.ID}
	rotated, disabled, renamed := *s, *s, *s
	rotated.Secrets = []string{hush + "2"}
	disabled.Disabled = true
	renamed.Name = "n"
	command, system := audit.Actor{Kind: audit.ActorCommand}, audit.Actor{Kind: audit.ActorSystem}
	for _, c := range []struct {
		name          string
		by            audit.Actor
		before, after *subscription.Subscription
		action        string
		changed       []string
		events        string
	}{
		{"created", command, nil, s, audit.Created, nil, operational.EndpointCreated},
		{"deleted", command, s, nil, audit.Deleted, nil, operational.EndpointDeleted},
		{"renamed", command, s, &renamed, audit.Updated, []string{"name"}, operational.EndpointUpdated},
		{"a secret changed", command, s, &rotated, audit.Updated, []string{"secrets"}, operational.EndpointUpdated},
		{"disabled", command, s, &disabled, audit.Updated, []string{"disabled"}, operational.EndpointDisabled},
		{"disabled by the system", system, s, &disabled, audit.Updated, []string{"disabled"}, ""},
		{"enabled", command, &disabled, s, audit.Updated, []string{"disabled"}, operational.EndpointEnabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries, events := journalled(t, c.by, registry.Applied{
				Key: key, Version: 9, Before: registry.Object{Subscription: c.before}, After: registry.Object{Subscription: c.after},
			})
			require.Len(t, entries, 1)
			require.Equal(t, c.action, entries[0].Action)
			require.Equal(t, c.changed, entries[0].Changed)
			require.Equal(t, c.before == nil, entries[0].Before == nil)
			require.Equal(t, c.after == nil, entries[0].After == nil)
			require.Equal(t, c.events, strings.Join(events, " "))
		})
	}
}

func TestJournalOfOthers(t *testing.T) {
	tenant := &subscription.Tenant{ID: ident.New(), Name: "a", Notices: &subscription.Notices{Chat: &subscription.Chat{URL: "https://chat/CANARY"}}}
	key, token := access.NewKey("k", access.RoleOperator, ident.ID{}, time.Now(), time.Time{})
	hash, err := key.Hash.MarshalText()
	require.NoError(t, err)
	entries, events := journalled(t, audit.Actor{Kind: audit.ActorKey},
		registry.Applied{Key: registry.Key{Kind: registry.KindTenant, ID: tenant.ID}, After: registry.Object{Tenant: tenant}, Version: 1},
		registry.Applied{Key: registry.Key{Kind: registry.KindKey, ID: key.ID}, After: registry.Object{Key: key}, Version: 2},
		registry.Applied{Key: registry.EventTypeKey("a.b"), After: registry.Object{EventType: &catalogue.EventType{Name: "a.b"}}, Version: 3},
	)
	require.Empty(t, events)
	require.Len(t, entries, 3)
	require.NotContains(t, string(entries[0].After), "CANARY")
	require.NotContains(t, string(entries[1].After), string(hash))
	require.NotContains(t, string(entries[1].After), token)
	require.Equal(t, "a.b", entries[2].Object)
}
