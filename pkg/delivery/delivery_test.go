package delivery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Identities are what endpoints deduplicate by: computed by an independent program, they may never change.
func TestIdentitiesGolden(t *testing.T) {
	tenant := must(ident.ParseUUID("8c5ad2cf-4f1e-4a33-9f8e-0d7a1f6f6d11"))
	sub := must(ident.ParseUUID("0b8f3a52-66f0-4d0f-8a3e-3b1d2f4c5e6a"))
	msg := delivery.MessageID(tenant, "//shop", "o-1")
	require.Equal(t, "eec38850-76c6-ada4-7c33-33b47c6c4781", msg.UUID())
	require.Equal(t, "msg_000007GXX0bNqB4rSGWsfLPbdvF", msg.Base62(delivery.MessagePrefix))
	require.Equal(t, "0d8f6cc3-0b89-42dc-ed73-42611c86c35d", delivery.ID(msg, sub).UUID())
	require.Equal(t, "dlv_000000PaRcqoJBzlIqAV396lCsH", delivery.ID(msg, sub).Base62(delivery.IDPrefix))
}

func TestIdentitiesDiffer(t *testing.T) {
	a, b := ident.Derive("a"), ident.Derive("b")
	seen := map[ident.ID]string{}
	for name, id := range map[string]ident.ID{
		"message":        delivery.MessageID(a, "s", "e"),
		"other tenant":   delivery.MessageID(b, "s", "e"),
		"other source":   delivery.MessageID(a, "t", "e"),
		"other event":    delivery.MessageID(a, "s", "f"),
		"other split":    delivery.MessageID(a, "se", ""),
		"delivery":       delivery.ID(a, b),
		"turned round":   delivery.ID(b, a),
		"to itself":      delivery.ID(a, a),
		"empty event id": delivery.MessageID(a, "s", ""),
	} {
		require.NotContains(t, seen, id, name)
		seen[id] = name
	}
}

// The key tells writings apart: by delivery, by who asked, and by pass; not by what an attempt changes.
func TestKey(t *testing.T) {
	d := minimal()
	same := *d
	same.Attempts, same.Parks, same.Reason, same.Due = 3, 1, "failed", at
	require.Equal(t, d.Key(), same.Key())
	for name, change := range map[string]func(*delivery.Delivery){
		"delivery":   func(d *delivery.Delivery) { d.ID = ident.Derive("other") },
		"trigger":    func(d *delivery.Delivery) { d.Trigger.Kind = delivery.TriggerResend },
		"trigger id": func(d *delivery.Delivery) { d.Trigger.ID = "1" },
		"pass":       func(d *delivery.Delivery) { d.Pass++ },
	} {
		other := *d
		change(&other)
		require.NotEqual(t, d.Key(), other.Key(), name)
	}
}
