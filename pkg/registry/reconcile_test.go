package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/subscription"
)

// applied reconciles a file with the view, applies the steps and returns them as "verb name" lines.
func applied(t *testing.T, v *View, w *Writer, opts FileOptions, text string) []string {
	t.Helper()
	f, err := subscription.ParseFile("f.yaml", []byte(text), subscription.FileRules{})
	require.NoError(t, err)
	steps, err := Reconcile(v.Snapshot(), f, opts)
	require.NoError(t, err)
	var changes []Change
	var lines []string
	for _, s := range steps {
		name := s.Tenant.UID
		if s.Subscription != nil {
			name += "/" + s.Subscription.UID
		}
		if s.NewSecret != "" {
			name += " " + s.NewSecret
		}
		lines = append(lines, string(s.Verb)+" "+name)
		if s.Verb != Unchanged {
			changes = append(changes, s.Change)
		}
	}
	_, err = w.Apply(t.Context(), changes...)
	require.NoError(t, err)
	return lines
}

func TestReconcile(t *testing.T) {
	writing(t, func(t *testing.T, _ *memory, v *View, w *Writer) {
		made := 0
		opts := FileOptions{
			NewSecret: func(profile string) (string, error) {
				made++
				return fmt.Sprint(profile, "-", made), nil
			},
			CheckSecret: func(profile, secret string) error {
				if !strings.HasPrefix(secret, profile) {
					return errors.New("other profile")
				}
				return nil
			},
		}
		const file = `
tenants:
- uid: acme
  subscriptions:
  - {uid: a, url: https://a, headers: {x: "1", y: "2"}, retry: {kind: fixed, interval: 1m, maxTries: 2}}
  - {uid: b, url: https://b, secret: standard-own, disabled: true}
  - {uid: c, url: https://c, secret: standard-c, transformation: .cancel = true, encryption: {scheme: jwe, key: k}}
- uid: other
  name: The other
`
		require.Equal(t, []string{
			"created acme", "created acme/a standard-1", "created acme/b", "created acme/c", "created other",
		}, applied(t, v, w, opts, file))
		before := v.Snapshot().Version()
		require.Equal(t, []string{
			"unchanged acme", "unchanged acme/a", "unchanged acme/b", "unchanged acme/c", "unchanged other",
		}, applied(t, v, w, opts, file))
		require.Equal(t, before, v.Snapshot().Version(), "nothing was written")

		require.Equal(t, []string{
			"unchanged acme", "updated acme/a", "updated acme/b standardised-2", "updated acme/c", "unchanged other",
		}, applied(t, v, w, opts, strings.NewReplacer(
			"https://a,", "https://a2,", "transformation: .cancel = true, ", "", "secret: standard-own, disabled: true", "profile: standardised").Replace(file)))
		acme, _ := v.Snapshot().ResolveTenant("acme")
		a, ok := v.Snapshot().ResolveSubscription(acme.ID, "a")
		require.True(t, ok)
		require.Equal(t, []string{"standard-1"}, a.Secrets, "kept")
		c, _ := v.Snapshot().ResolveSubscription(acme.ID, "c")
		require.Nil(t, c.Transformation, "the file says nothing of it any more")
		require.Equal(t, &subscription.Encryption{Scheme: "jwe", Key: "k"}, c.Encryption)
		require.Equal(t, subscription.DerivedID(subscription.DerivedTenantID("acme"), "a"), a.ID)

		const less = "tenants: [{uid: acme, subscriptions: [{uid: a, url: 'https://a2'}]}]"
		require.Equal(t, []string{"unchanged acme", "updated acme/a"}, applied(t, v, w, opts, less))
		opts.Prune = true
		require.ElementsMatch(t, []string{"unchanged acme", "unchanged acme/a", "deleted acme/b", "deleted acme/c"}, applied(t, v, w, opts, less))
		tenants, subscriptions := v.Snapshot().Count()
		require.Equal(t, 2, tenants)
		require.Equal(t, 1, subscriptions)
	})
}

// TestReconcileFindsByUID applies a file to what the API created with ids of its own.
func TestReconcileFindsByUID(t *testing.T) {
	writing(t, func(t *testing.T, _ *memory, v *View, w *Writer) {
		tenant := subscription.Tenant{ID: [16]byte{1}, UID: "acme", Name: "acme"}
		sub := subscription.Subscription{ID: [16]byte{2}, Tenant: tenant.ID, UID: "a", URL: "https://a"}
		_, err := w.Apply(t.Context(), PutTenant(&tenant), PutSubscription(&sub))
		require.NoError(t, err)
		require.Equal(t, []string{"unchanged acme", "unchanged acme/a"},
			applied(t, v, w, FileOptions{}, "tenants: [{uid: acme, subscriptions: [{uid: a, url: 'https://a'}]}]"))
	})
}
