package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/subscription"
)

// everyKind writes an object of each kind, with all that the writer of a registry sets itself, in another order than a file's.
func everyKind(t *testing.T, s *Store) {
	t.Helper()
	tenant := &subscription.Tenant{
		ID: ident.New(), UID: "acme", Name: "Acme <Ltd>", Notices: &subscription.Notices{Chat: &subscription.Chat{URL: "sealed:chat"}},
	}
	sub := &subscription.Subscription{
		ID: ident.New(), Tenant: tenant.ID, UID: "orders", URL: "https://example.com/?a&b", Secrets: []string{"sealed:secret"},
		Transformation: &subscription.Transformation{Code: ".", Variables: map[string]string{"b": "sealed:b", "a": "sealed:a"}},
	}
	apply(t, s, PutTenant(tenant), PutSubscription(sub))
	for _, p := range []pause.Pause{pause.OfSubscription(sub), pause.OfTenant(tenant), pause.OfRole("router"), pause.OfEgress()} {
		apply(t, s, PutPause(because(p, "moving")))
	}
	time.Sleep(time.Hour)
	was, _ := s.Snapshot().Subscription(sub.ID)
	changed := *was
	changed.Name, changed.Disabled, changed.Locked, changed.DisabledReason = "Orders", true, true, "gone"
	key, _ := access.NewKey("theirs", access.RoleTenant, tenant.ID, time.Time{}, time.Time{})
	apply(t, s, PutSubscription(&changed), PutKey(key), PutEventType(&catalogue.EventType{
		Name: "order.created", Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{"pattern":"<a>"}`)},
	}))
}

func export(t *testing.T, s *Snapshot) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, Export(&out, s))
	return out.String()
}

// restores makes s hold what a file has.
func restores(t *testing.T, s *Store, file string) (changes []Change) {
	t.Helper()
	read, err := ReadExport(strings.NewReader(file))
	require.NoError(t, err)
	for _, e := range read {
		changes = append(changes, Restore(e.Object, s.Snapshot().Object(KeyOf(e.Object)).Version()))
	}
	return changes
}

func TestCopyOfARegistryIsTheSame(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, _ *memory, s *Store) {
		everyKind(t, s)
		file := export(t, s.Snapshot())
		require.Equal(t, 9, strings.Count(file, "\n"))

		m := newMemory()
		v := open(t, m)
		defer run(t, v)()
		other := OpenStore(v, m.open, StoreOptions{})
		defer other.Close()
		time.Sleep(time.Hour)
		apply(t, other, PutTenant(&subscription.Tenant{ID: ident.New()}), PutTenant(&subscription.Tenant{ID: ident.New()}))
		for s := range other.Snapshot().Tenants() {
			apply(t, other, Delete(Key{KindTenant, s.ID}, Any))
		}
		version := other.Snapshot().Version()
		apply(t, other, restores(t, other, file)...)
		require.Equal(t, file, export(t, other.Snapshot()))
		for s := range other.Snapshot().Subscriptions() {
			require.Equal(t, version+1, s.Generation, "as every new one, or what was left of another of its id would disable it")
			require.True(t, s.Locked)
		}

		size := len(m.entries)
		apply(t, other, restores(t, other, file)...)
		require.Len(t, m.entries, size, "the same again is no change")
		changed := strings.ReplaceAll(file, `"Orders"`, `"Renamed"`)
		apply(t, other, restores(t, other, changed)...)
		require.Equal(t, changed, export(t, other.Snapshot()))
		require.Len(t, m.entries, size+2, "one record and its marker")
	})
}

func TestFileIsInOrderOfReferences(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, _ *memory, s *Store) {
		everyKind(t, s)
		file := export(t, s.Snapshot())
		lines := strings.SplitAfter(file, "\n")
		slices.Reverse(lines[1 : len(lines)-1])
		read, err := ReadExport(strings.NewReader(strings.Join(lines, "")))
		require.NoError(t, err)
		var changes []Change
		for _, e := range read {
			changes = append(changes, Restore(e.Object, 0))
		}
		for i, err := range Empty().Try(changes) {
			require.NoError(t, err, "line %d", read[i].Line)
		}
		kinds := make([]string, len(read))
		for i, e := range read {
			kinds[i] = string(KeyOf(e.Object).Kind)
		}
		require.Equal(t, "pause pause event-type tenant subscription key pause pause", strings.Join(kinds, " "))
	})
}

func TestTryFindsAllRefusals(t *testing.T) {
	tenant := &subscription.Tenant{ID: ident.New(), UID: "acme"}
	twin := &subscription.Tenant{ID: ident.New(), UID: "acme"}
	sub := &subscription.Subscription{ID: ident.New(), Tenant: ident.New()}
	errs := Empty().Try([]Change{PutTenant(tenant), PutTenant(twin), PutSubscription(sub), PutPause(because(pause.OfTenant(tenant), "x"))})
	require.Len(t, errs, 4)
	require.NoError(t, errs[0])
	require.EqualError(t, errs[1], fmt.Sprintf(`tenant/%s: uid: "acme" is taken by tenant/%s`, twin.ID, tenant.ID))
	require.ErrorIs(t, errs[2], ErrNoTenant)
	require.NoError(t, errs[3])
}

func TestExportHoldsNoSecretInClear(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, _ *memory, s *Store) {
		tenant := &subscription.Tenant{ID: ident.New()}
		sub := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID, Headers: map[string]string{"X-Key": "CANARY"}}
		apply(t, s, PutTenant(tenant), PutSubscription(sub))
		var out bytes.Buffer
		err := Export(&out, s.Snapshot())
		require.EqualError(t, err, "subscription/"+sub.ID.UUID()+": headers.X-Key: is not encrypted: run 'postrider keys rotate' first")
		require.Empty(t, out.String())
	})
}

func TestDifferNamesFields(t *testing.T) {
	a := &subscription.Subscription{ID: ident.New(), URL: "https://a", Generation: 1, Version: 1}
	b := *a
	b.Generation, b.Version = 2, 2
	fields, err := Differ(Object{Subscription: a}, Object{Subscription: &b})
	require.NoError(t, err)
	require.Empty(t, fields, "these are of one registry")
	b.URL, b.Name = "https://b", "B"
	fields, err = Differ(Object{Subscription: a}, Object{Subscription: &b})
	require.NoError(t, err)
	require.Equal(t, []string{"name", "url"}, fields)
}

func TestReadExportRefuses(t *testing.T) {
	const id = "00010203-0405-4607-8809-0a0b0c0d0e0f"
	const head = `{"format":"postrider-registry","version":1,"objects":1}` + "\n"
	const good = `{"key":"tenant/` + id + `","value":{"version":1,"id":"` + id + `","name":"Acme"}}` + "\n"
	line := func(key, value string) string { return head + `{"key":"` + key + `","value":` + value + "}\n" }
	_, err := ReadExport(strings.NewReader(head + "\n" + good))
	require.NoError(t, err)
	for name, tt := range map[string]struct{ file, want string }{
		"nothing":         {"", "is empty: want what 'postrider registry export' writes"},
		"something else":  {"tenants:\n", "line 1: want the header of a file of 'postrider registry export'"},
		"another format":  {`{"format":"x","version":1}`, "line 1: want the header"},
		"no header":       {good, "line 1: want the header"},
		"no version":      {`{"format":"postrider-registry","objects":1}` + "\n" + good, "line 1: want the header"},
		"newer":           {`{"format":"postrider-registry","version":2,"objects":[]}`, "line 1: version: record version 2 is newer than this release understands, which is 1"},
		"newer record":    {line("tenant/"+id, `{"version":2,"id":7}`), "line 2: value: reading tenant " + id + ": record version 2 is newer"},
		"cut within":      {head + good[:40], "line 2: ends in the middle of its object: the file was cut"},
		"cut between":     {strings.Replace(head, "1}", "2}", 1) + good, "line 2: the file ends after 1 of 2 objects: it was cut"},
		"cut at the head": {head, "line 1: the file ends after 0 of 1 objects: it was cut"},
		"more":            {head + good + strings.ReplaceAll(good, id[:8], "10010203"), "line 1: objects: 1, and there are 2"},
		"twice":           {head + good + good, `line 3: key: "tenant/` + id + `": is on line 2 already`},
		"unknown kind":    {line("group/"+id, `{}`), `line 2: key: "group/` + id + `": kind "group" is not known: want tenant, subscription, event-type, key or pause`},
		"a write":         {line("write/"+id, `{}`), `kind "write" is not known`},
		"no id":           {line("tenant/7", `{}`), `line 2: key: reading key "tenant/7"`},
		"no value":        {head + `{"key":"tenant/` + id + `"}`, "line 2: value: missing"},
		"another id":      {line("tenant/10010203-0405-4607-8809-0a0b0c0d0e0f", `{"id":"`+id+`"}`), "value has another id than the key"},
		"unknown member":  {line("tenant/"+id, `{"id":"`+id+`","colour":"blue"}`), `line 2: value: json: unknown field "colour"`},
		"wrong type":      {line("tenant/"+id, `{"id":"`+id+`","throttleRate":"x"}`), "throttleRate of type int"},
		"two on a line":   {head + strings.TrimSpace(good) + good, "line 2: want a key and a value, JSON: something follows it on its line"},
		"too long":        {head + strings.Repeat("x", maxExportLine+1), fmt.Sprintf("line 2: more than %d bytes", maxExportLine)},
	} {
		_, err := ReadExport(strings.NewReader(tt.file))
		require.ErrorContains(t, err, tt.want, name)
		require.Equal(t, strings.HasPrefix(name, "newer"), errors.Is(err, form.ErrNewer), name)
	}
	_, err = ReadExport(strings.NewReader(strings.Replace(head, "1}", "99}", 1) + strings.Repeat("x\n", 99)))
	require.Len(t, strings.Split(err.Error(), "\n"), maxExportErrors)
}

// What a file lacks can be told: a kind of a later release, or a record that is broken, until something readable takes its place.
func TestSnapshotKnowsWhatItLacks(t *testing.T) {
	id := ident.New()
	tenant, group := Key{KindTenant, id}.String(), "group/"+id.UUID()
	good := `{"id":"` + id.UUID() + `","name":"Acme"}`
	s := Empty()
	for i, step := range []struct {
		key, value string
		want       []string
	}{
		{tenant, good, nil},
		{tenant, `{`, []string{tenant}},
		{group, `{}`, []string{group, tenant}},
		{tenant, good, []string{group}},
		{tenant, `{"id":7}`, []string{group, tenant}},
		{tenant, "", []string{group}},
		{group, "", nil},
	} {
		b := s.builder()
		_, err := b.apply(int64(i), []byte(step.key), tombstone(step.value))
		require.Equal(t, len(step.value) == 1 || step.value == `{"id":7}`, err != nil)
		s = b.snapshot(int64(i) + 1)
		require.Equal(t, step.want, slices.Collect(s.Unread()), "step %d", i)
	}
	b := Empty().builder()
	b.only = KindPause
	_, err := b.apply(0, []byte(tenant), []byte(good))
	require.NoError(t, err)
	require.Empty(t, slices.Collect(b.snapshot(1).Unread()), "what is not wanted is not lacking")
}

// tombstone is nothing for the empty text.
func tombstone(value string) []byte {
	if value == "" {
		return nil
	}
	return []byte(value)
}

// Whatever a file has: what is read of it can be compared, tried and written, and is the same when it is read again.
func FuzzReadExport(f *testing.F) {
	id := ident.Derive("test").UUID()
	head := `{"format":"postrider-registry","version":1,"objects":1}` + "\n"
	for _, kind := range []Kind{KindTenant, KindSubscription, KindKey, KindPause} {
		f.Add(head + `{"key":"` + string(kind) + `/` + id + `","value":{"id":"` + id + `","tenant":"` + id + `","scope":"tenant"}}`)
	}
	f.Add(head + `{"key":"` + EventTypeKey("a.b").String() + `","value":{"name":"a.b","schemas":{"1":{}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		read, err := ReadExport(strings.NewReader(text))
		if err != nil {
			return
		}
		b := Empty().builder()
		for _, e := range read {
			b.put(e.Object)
			Empty().Try([]Change{Restore(e.Object, 0)})
		}
		s := b.snapshot(1)
		var out bytes.Buffer
		if Export(&out, s) != nil {
			return // a secret in clear
		}
		again, err := ReadExport(&out)
		require.NoError(t, err)
		require.Len(t, again, len(read))
		for _, e := range again {
			fields, err := Differ(e.Object, s.Object(KeyOf(e.Object)))
			require.NoError(t, err)
			require.Empty(t, fields)
		}
	})
}
