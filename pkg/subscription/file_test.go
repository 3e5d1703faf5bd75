package subscription

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
)

func testFileRules() FileRules {
	env := map[string]string{"ACME_SECRET": "dixa-7", "TOKEN": "t0ken"}
	return FileRules{Rules: testRules(), LookupEnv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}}
}

func TestParseFile(t *testing.T) {
	f, err := ParseFile("f.yaml", []byte(`
# what acme wants
tenants:
  - uid: acme
    profile: dixa
    subscriptions:
      - uid: orders
        name: Orders
        url: https://a.example/x
        eventTypes: [contact.*, CONVERSATION_CREATED]
        channels: [vip, "se:1"]
        filter: data.amount > 100
        secret: ${ACME_SECRET}
        headers: &headers
          Authorization: Bearer ${TOKEN}
        timeout: 10s
        retry: {kind: fixed, interval: 1m, maxTries: 4}
        description: what the ERP wants
        metadata: {team: erp}
        throttleRate: 10
        failure: {kind: consecutive, failures: 100, effect: lock}
        redactResponses: true
      - id: ep_000001zzzzzzzzzzzzzzzzzzzzz
        url: https://b.example
        profile: standard
        secrets:
        - standard-1
        - standard-2
        headers: *headers
        disabled: true
      - uid: stock
        url: https://c.example
        headers: {X-Key: "${TOKEN}"}
        sensitiveHeaders: [X-Key]
        authorization: {username: acme, password: "${TOKEN}"}
        transformation: |
          .payload |= {id}
        encryption: {scheme: good, key: "${TOKEN}"}
      - uid: switched-off
        url: https://d.example
        transformation: {code: .cancel = true, variables: {shop: "${TOKEN}"}, disabled: true}
  - id: 5b0c2d3e-1111-4222-8333-444455556666
    uid: 17
    name: "Seventeen: the tenant"
`), testFileRules())
	require.NoError(t, err)
	require.Len(t, f.Tenants, 2)
	require.Equal(t, &Tenant{UID: "acme", Name: "acme", Profile: "dixa"}, f.Tenants[0].Tenant)
	orders := f.Tenants[0].Subscriptions[0]
	require.Equal(t, &Subscription{
		UID: "orders", Name: "Orders", URL: "https://a.example/x", EventTypes: []string{"contact.*", "CONVERSATION_CREATED"},
		Channels: []string{"vip", "se:1"}, Filter: "data.amount > 100",
		Secrets: []string{"dixa-7"}, Headers: map[string]string{"Authorization": "Bearer t0ken"},
		Timeout:     Duration(10 * time.Second),
		Retry:       &RetryPolicy{Kind: RetryFixed, Interval: Duration(time.Minute), MaxTries: 4},
		Description: "what the ERP wants", Metadata: map[string]string{"team": "erp"}, ThrottleRate: 10,
		Failure: &FailurePolicy{Kind: FailureConsecutive, Failures: 100, Effect: EffectLock}, RedactResponses: true,
	}, orders)
	require.Equal(t, &Subscription{
		UID: "stock", URL: "https://c.example", Headers: map[string]string{"X-Key": "t0ken"}, SensitiveHeaders: []string{"X-Key"},
		Authorization: &Authorization{Username: "acme", Password: "t0ken"}, Encryption: &Encryption{Scheme: "good", Key: "t0ken"},
		Transformation: &Transformation{Code: ".payload |= {id}\n", Enabled: true},
	}, f.Tenants[0].Subscriptions[2])
	require.Equal(t, &Transformation{Code: ".cancel = true", Variables: map[string]string{"shop": "t0ken"}},
		f.Tenants[0].Subscriptions[3].Transformation)
	second := f.Tenants[0].Subscriptions[1]
	require.Equal(t, "ep_000001zzzzzzzzzzzzzzzzzzzzz", second.ID.Base62(SubscriptionPrefix))
	require.True(t, second.Disabled)
	require.Equal(t, []string{"standard-1", "standard-2"}, second.Secrets)
	require.Equal(t, orders.Headers, second.Headers)
	require.Equal(t, "17", f.Tenants[1].Tenant.UID)
	require.Equal(t, "5b0c2d3e-1111-4222-8333-444455556666", f.Tenants[1].Tenant.ID.UUID())
}

func TestParseFileTellsEverythingAtItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"many": {`tenants:
  - uid: acme
    profil: dixa
    subscriptions:
      - uid: orders
        url: http://a.example
        eventTypes: contact.*
        secrets: whsec_verysecret
        timeout: soon
      - uid: orders
        url: https://a.example
        secret: ${NOWHERE}
        disabled: "yes"
        retry: {kind: fixed, interval: 1s, factor: 2}
        headers:
          Host: a
      - url: https://b.example
        eventTypes: [a, b*]
        secret: x
        webhook: 1
`, []string{
			`f.yaml:3:5: tenants[0].profil: there is no such field: did you mean profile?`,
			`f.yaml:6:9: tenants[0].subscriptions[0].url: want https://host/path`,
			`f.yaml:7:21: tenants[0].subscriptions[0].eventTypes: want a list, got a single value`,
			`f.yaml:8:18: tenants[0].subscriptions[0].secrets: want a list, got a single value`,
			`f.yaml:9:18: tenants[0].subscriptions[0].timeout: time: invalid duration "soon"`,
			`f.yaml:10:9: tenants[0].subscriptions[1].uid: "orders": is that of tenants[0].subscriptions[0].uid, line 5, already`,
			`f.yaml:12:9: tenants[0].subscriptions[1].secret: environment variable "NOWHERE" is not set`,
			`f.yaml:13:19: tenants[0].subscriptions[1].disabled: "yes": want true or false`,
			`f.yaml:14:44: tenants[0].subscriptions[1].retry.factor: a fixed policy has none`,
			`f.yaml:16:11: tenants[0].subscriptions[1].headers.Host: is not a subscription's to set`,
			`f.yaml:17:9: tenants[0].subscriptions[2].uid: missing: want uid or id`,
			`f.yaml:18:25: tenants[0].subscriptions[2].eventTypes[1]: "b*": * stands for a whole segment between dots, not for a part of one`,
			`f.yaml:19:9: tenants[0].subscriptions[2].secret: want standard- and digits`,
			`f.yaml:20:9: tenants[0].subscriptions[2].webhook: there is no such field: want id, uid, name, description, metadata, url, eventTypes, channels, filter, profile, secret, secrets, headers, sensitiveHeaders, authorization, transformation, encryption, throttleRate, timeout, retry, failure, redactResponses, disabled`,
		}},
		"what is sent": {`tenants:
  - uid: acme
    subscriptions:
      - uid: a
        url: https://a.example
        transformation: bad
        encryption: {scheme: other, key: verysecret}
      - uid: b
        url: https://b.example
        transformation:
          variables: {x: "${NOWHERE}"}
        encryption: {scheme: good, key: verysecret-too}
      - uid: c
        url: https://c.example
        encryption: good
        transformation: {code: bad, enabled: true}
`, []string{
			`f.yaml:6:9: tenants[0].subscriptions[0].transformation.code: 1:1: does not compile`,
			`f.yaml:7:22: tenants[0].subscriptions[0].encryption.scheme: want good`,
			`f.yaml:10:9: tenants[0].subscriptions[1].transformation.code: missing: want a program, or none that is enabled`,
			`f.yaml:11:23: tenants[0].subscriptions[1].transformation.variables.x: environment variable "NOWHERE" is not set`,
			`f.yaml:12:36: tenants[0].subscriptions[1].encryption.key: want t0ken`,
			`f.yaml:15:9: tenants[0].subscriptions[2].encryption.scheme: want good`,
			`f.yaml:15:21: tenants[0].subscriptions[2].encryption: want fields (name: value), got a single value`,
			`f.yaml:16:26: tenants[0].subscriptions[2].transformation.code: 1:1: does not compile`,
			`f.yaml:16:37: tenants[0].subscriptions[2].transformation.enabled: there is no such field: want code, variables, disabled`,
		}},
		"syntax":   {"tenants:\n  - uid: [a\n", []string{`f.yaml:2:10: sequence end token ']' not found`}},
		"empty":    {"", []string{`f.yaml:0:0: tenants: missing: want a list of tenants`}},
		"a list":   {"- a\n", []string{`f.yaml:1:1: want fields (name: value), got a list`}},
		"two docs": {"tenants: [{uid: a}]\n---\ntenants: []\n", []string{`f.yaml:3:1: a second document: want one per file`}},
		"bad id": {"tenants:\n- id: app_1\n  name: a\n", []string{
			`f.yaml:2:3: tenants[0].id: "app_1": want a UUID, or app_ and 27 base62 digits`,
		}},
		"both": {
			"tenants:\n- uid: a\n  subscriptions:\n  - uid: b\n    url: https://a\n    secret: standard-1\n    secrets: [standard-2]\n",
			[]string{`f.yaml:6:5: tenants[0].subscriptions[0].secret: is there, and so is secrets: want one of them`},
		},
		"no anchor": {"tenants: *a\n", []string{`f.yaml:1:10: tenants: *a: there is no anchor &a above`}},
		"anchor in self": {"tenants: &a [*a]\n", []string{
			`f.yaml:1:14: tenants[0]: *a: there is no anchor &a above`, `f.yaml:1:14: tenants[0].uid: missing: want uid or id`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseFile("f.yaml", []byte(c.file), testFileRules())
			require.Error(t, err)
			require.NotContains(t, err.Error(), "verysecret")
			t.Log("\n" + err.Error())
			require.Equal(t, strings.TrimSpace(strings.Join(c.want, "\n")), strings.TrimSpace(err.Error()))
		})
	}
}

func TestDerivedIDs(t *testing.T) {
	a, b := DerivedTenantID("a"), DerivedTenantID("b")
	require.NotEqual(t, a, b)
	require.Equal(t, a, DerivedTenantID("a"))
	require.NotEqual(t, DerivedID(a, "x"), DerivedID(b, "x"))
	require.NotEqual(t, DerivedID(a, "x"), DerivedID(a, "y"))
	require.NotEqual(t, ident.ID{}, a)
}

// TestAliasesAreBounded has a short file stand for a hundred times a hundred subscriptions.
func TestAliasesAreBounded(t *testing.T) {
	text := "tenants:\n- uid: a\n  subscriptions: &all\n" + strings.Repeat("  - {uid: x, url: y}\n", 100) +
		strings.Repeat("- {uid: a, subscriptions: *all}\n", 100)
	var root fileRoot
	err := readYAML("f.yaml", []byte(text), &root, 1000).err()
	require.EqualError(t, err, "f.yaml:31:11: tenants[3].subscriptions[27].uid: too many values in one file: split it")
}

func FuzzParseFile(f *testing.F) {
	f.Add("tenants:\n- uid: a\n  subscriptions:\n  - {uid: b, url: https://c, headers: {a: b}}\n")
	f.Add("tenants: &a [*a]")
	f.Add("tenants: [{id: 5b0c2d3e-1111-4222-8333-444455556666, <<: {a: b}}]")
	f.Add("? a\n: - !!binary x\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ParseFile("f", []byte(text), testFileRules())
		if (file == nil) != (err != nil) {
			t.Fatal("neither a file nor an error")
		}
	})
}
