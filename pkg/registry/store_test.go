package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
)

// storing gives fn a store on a log in memory, in a bubble.
func storing(t *testing.T, opts StoreOptions, fn func(t *testing.T, m *memory, s *Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		v := open(t, m)
		defer run(t, v)()
		s := OpenStore(v, m.open, opts)
		defer s.Close()
		fn(t, m, s)
	})
}

func apply(t *testing.T, s *Store, changes ...Change) Result {
	t.Helper()
	r, err := s.Apply(t.Context(), audit.Actor{}, changes...)
	require.NoError(t, err)
	require.GreaterOrEqual(t, s.Snapshot().Version(), r.Version)
	return r
}

// increment adds one to the number that is a tenant's name, by compare-and-set.
func increment(ctx context.Context, s *Store, id ident.ID) error {
	next := subscription.Tenant{ID: id, Name: "x"}
	if now, ok := s.Snapshot().Tenant(id); ok {
		next = *now
		next.Name += "x"
	}
	_, err := s.Apply(ctx, audit.Actor{}, PutTenant(&next))
	return err
}

func TestStoreSetsTimesAndWritesNothingForNothing(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, m *memory, s *Store) {
		id := ident.New()
		first := apply(t, s, PutTenant(&subscription.Tenant{ID: id, Name: "a"}))
		created, _ := s.Snapshot().Tenant(id)
		require.Equal(t, time.Now().UTC().Truncate(time.Millisecond), created.Created)
		require.Equal(t, created.Created, created.Updated)
		time.Sleep(time.Hour)

		same := *created
		size := len(m.entries)
		require.GreaterOrEqual(t, apply(t, s, PutTenant(&same)).Version, first.Version)
		require.Len(t, m.entries, size, "nothing was written")
		same.Version = 99
		_, err := s.Apply(t.Context(), audit.Actor{}, PutTenant(&same))
		var conflict *ConflictError
		require.ErrorAs(t, err, &conflict, "the same content does not excuse the version")

		changed := *created
		changed.Name = "b"
		apply(t, s, PutTenant(&changed))
		now, _ := s.Snapshot().Tenant(id)
		require.Equal(t, created.Created, now.Created)
		require.Equal(t, created.Created.Add(time.Hour), now.Updated)
	})
}

// TestStoreWritesTogether has many callers at once: few transactions, every caller its own answer.
func TestStoreWritesTogether(t *testing.T) {
	metrics := prometheus.NewRegistry()
	storing(t, StoreOptions{Metrics: metrics}, func(t *testing.T, m *memory, s *Store) {
		apply(t, s, PutTenant(&subscription.Tenant{ID: ident.New(), UID: "taken"}))
		m.set(func() { m.takes = 5 * time.Millisecond })
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for i := range 100 {
			wg.Go(func() {
				uid := fmt.Sprint("t", i)
				if i%10 == 0 {
					uid = "taken"
				}
				id := ident.New()
				_, err := s.Apply(t.Context(), audit.Actor{}, PutTenant(&subscription.Tenant{ID: id, UID: uid}),
					PutSubscription(&subscription.Subscription{ID: ident.New(), Tenant: id}))
				if _, taken := errors.AsType[*UIDError](err); taken {
					mu.Lock()
					defer mu.Unlock()
					refused++
					return
				}
				require.NoError(t, err)
			})
		}
		wg.Wait()
		require.Equal(t, 10, refused)
		tenants, subscriptions := s.Snapshot().Count()
		require.Equal(t, 91, tenants)
		require.Equal(t, 90, subscriptions, "of a refused change nothing is made")
		markers := 0
		for i, e := range m.entries {
			if e.marker {
				markers++
			} else {
				// The version that was predicted is the one that readers see.
				k, _, err := parseKey([]byte(e.key))
				require.NoError(t, err)
				require.EqualValues(t, i+1, s.Snapshot().Object(k).Version())
			}
		}
		require.Less(t, markers, 10)
	})
	families, err := metrics.Gather()
	require.NoError(t, err)
	require.Len(t, families, 5, "as many as the package doc lists")
}

// TestStoresInTurn lets stores fence each other over and over while each adds to one counter: it ends at the number of
// additions.
func TestStoresInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		id := ident.New()
		const stores, each = 3, 20
		var wg sync.WaitGroup
		began := time.Now()
		for range stores {
			wg.Go(func() {
				v := open(t, m)
				defer run(t, v)()
				s := OpenStore(v, m.open, StoreOptions{})
				defer s.Close()
				for done := 0; done < each; {
					err := increment(t.Context(), s, id)
					if _, conflict := errors.AsType[*ConflictError](err); conflict {
						require.NoError(t, v.Sync(t.Context()))
						continue
					}
					require.NoError(t, err)
					done++
				}
			})
		}
		wg.Wait()
		got, ok := open(t, m).Snapshot().Tenant(id)
		require.True(t, ok)
		require.Len(t, got.Name, stores*each)
		t.Logf("%s of the bubble's time", time.Since(began))
	})
}

// TestCommittedWithoutAnAnswer loses the answer to a commit: the change is there, is told to be, and is made once.
func TestCommittedWithoutAnAnswer(t *testing.T) {
	for _, kind := range []string{"put", "delete"} {
		t.Run(kind, func(t *testing.T) {
			storing(t, StoreOptions{}, func(t *testing.T, m *memory, s *Store) {
				id := ident.New()
				change := PutTenant(&subscription.Tenant{ID: id, Name: "a"})
				if kind == "delete" {
					apply(t, s, change)
					change = Delete(Key{KindTenant, id}, 1)
				}
				m.set(func() { m.mute = true })
				go func() {
					time.Sleep(10 * time.Millisecond)
					m.set(func() { m.mute = false })
				}()
				size := len(m.entries)
				apply(t, s, change)
				require.Len(t, m.entries, size+2+map[string]int{"put": 0, "delete": 1}[kind], "made once, deletions with their marker")
				_, ok := s.Snapshot().Tenant(id)
				require.Equal(t, kind == "put", ok)
			})
		})
	}
}

// brokenAppender fails once without having written anything.
type brokenAppender struct {
	Appender
	err *error
}

func (b brokenAppender) Append(ctx context.Context, at int64, records iter.Seq[Record]) (int64, error) {
	if err := *b.err; err != nil {
		*b.err = nil
		return 0, err
	}
	return b.Appender.Append(ctx, at, records)
}

func TestLostTransactionIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		v := open(t, m)
		defer run(t, v)()
		failing := errors.New("connection reset")
		s := OpenStore(v, func(context.Context) (Appender, error) { return brokenAppender{m.writer(), &failing}, nil }, StoreOptions{})
		defer s.Close()
		apply(t, s, PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.Len(t, m.entries, 2)
	})
}

// TestUnknownFate cannot open another writer after a lost answer.
func TestUnknownFate(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, m *memory, s *Store) {
		apply(t, s, PutTenant(&subscription.Tenant{ID: ident.New()}))
		m.set(func() { m.mute, m.away = true, true })
		_, err := s.Apply(t.Context(), audit.Actor{}, PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.ErrorIs(t, err, ErrUnknown)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = s.Apply(ctx, audit.Actor{}, PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, ErrUnknown, "it was never begun")
	})
}

func TestClosedStore(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, _ *memory, s *Store) {
		s.Close()
		_, err := s.Apply(t.Context(), audit.Actor{}, PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestJournalIsInTheTransaction(t *testing.T) {
	fail := false
	journal := func(by audit.Actor, _ time.Time, done []Applied) ([]Record, error) {
		if fail {
			return nil, errors.New("no journal")
		}
		var records []Record
		for _, d := range done {
			records = append(records, Record{Topic: "audit", Key: by.Name, Value: fmt.Appendf(nil, "%s %d", d.Key, d.Version)})
		}
		return records, nil
	}
	storing(t, StoreOptions{Journal: journal}, func(t *testing.T, m *memory, s *Store) {
		id := ident.New()
		_, err := s.Apply(t.Context(), audit.Actor{Name: "ann"}, PutTenant(&subscription.Tenant{ID: id}))
		require.NoError(t, err)
		_, err = s.Apply(t.Context(), audit.Actor{Name: "bob"}, PutTenant(&subscription.Tenant{ID: id}))
		require.Error(t, err)
		require.Equal(t, []Record{{Topic: "audit", Key: "ann", Value: fmt.Appendf(nil, "tenant/%s 1", id.UUID())}}, m.others)
		fail = true
		_, err = s.Apply(t.Context(), audit.Actor{}, Delete(Key{KindTenant, id}, 1))
		require.ErrorContains(t, err, "no journal")
		_, ok := s.Snapshot().Tenant(id)
		require.True(t, ok)
	})
}

func TestEventTypesAndKeys(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, m *memory, s *Store) {
		tenant := &subscription.Tenant{ID: ident.New()}
		key, token := access.NewKey("k", access.RoleTenant, tenant.ID, time.Now(), time.Time{})
		_, err := s.Apply(t.Context(), audit.Actor{}, PutKey(key))
		require.ErrorIs(t, err, ErrNoTenant)
		apply(t, s, PutTenant(tenant), PutKey(key),
			PutEventType(&catalogue.EventType{Name: "b"}), PutEventType(&catalogue.EventType{Name: "a", Description: "d"}))
		snap := open(t, m).Snapshot()
		got, ok := snap.KeyByHash(access.HashToken(token))
		require.True(t, ok)
		require.Equal(t, key.ID, got.ID)
		var names []string
		for e := range snap.EventTypesBefore("") {
			names = append(names, e.Name)
		}
		require.Equal(t, []string{"b", "a"}, names)
		apply(t, s, Delete(EventTypeKey("b"), Any))
		_, ok = s.Snapshot().EventType("b")
		require.False(t, ok)
		apply(t, s, Delete(Key{KindTenant, tenant.ID}, Any))
		_, ok = s.Snapshot().KeyByHash(key.Hash)
		require.False(t, ok, "the tenant's keys go with it")

		_, err = s.Apply(t.Context(), audit.Actor{}, PutEventType(&catalogue.EventType{Name: "c", Description: strings.Repeat("x", MaxRecord)}))
		var size *SizeError
		require.ErrorAs(t, err, &size)
		require.Equal(t, EventTypeKey("c"), size.Key)
	})
}

// secretive returns a subscription with a secret in every field that may hold one, each with the canary in it.
func secretive(tenant ident.ID, canary string) *subscription.Subscription {
	return &subscription.Subscription{
		ID: ident.New(), Tenant: tenant, URL: "https://a.example", Secrets: []string{canary + "1"},
		Retired:       []subscription.RetiredSecret{{Secret: canary + "2"}},
		Headers:       map[string]string{"X-A": canary + "3"},
		Authorization: &subscription.Authorization{Username: "u", Password: canary + "4"}, ClientIdentity: canary + "5",
		OAuth: &subscription.OAuth{
			ClientSecret: canary + "6", RefreshToken: canary + "7", ExtraParams: map[string]string{"p": canary + "8"},
			ExtraHeaders: map[string]string{"h": canary + "9"}, JWT: &subscription.OAuthJWT{Key: canary + "10"},
		},
		Transformation: &subscription.Transformation{Code: ".", Variables: map[string]string{"v": canary + "11"}},
		Encryption:     &subscription.Encryption{Scheme: "jwe", Key: canary + "12"},
	}
}

func keyset(t *testing.T) *seal.Keyset {
	t.Helper()
	k, err := seal.Generate()
	require.NoError(t, err)
	return k
}

func TestSecretsAreSealedInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const canary = "CANARY"
		m, k := newMemory(), keyset(t)
		v, err := Open(t.Context(), m, Options{Cipher: k})
		require.NoError(t, err)
		defer run(t, v)()
		s := OpenStore(v, m.open, StoreOptions{})
		defer s.Close()
		tenant := ident.New()
		sub := secretive(tenant, canary)
		apply(t, s, PutTenant(&subscription.Tenant{ID: tenant}), PutSubscription(sub))
		for _, e := range m.entries {
			require.NotContains(t, string(e.value), canary)
		}
		got, _ := s.Snapshot().Subscription(sub.ID)
		want := *sub
		want.Created, want.Updated, want.Version, want.Generation = got.Created, got.Updated, got.Version, got.Generation
		stamped := *sub.Transformation
		stamped.Updated = got.Updated
		want.Transformation = &stamped
		require.Equal(t, &want, got)
		require.False(t, got.IsSealed())

		size := len(m.entries)
		apply(t, s, PutSubscription(got))
		require.Len(t, m.entries, size, "the same, though sealing it again gives another text")
		bad := *got
		bad.Secrets = []string{"sealed:x"}
		_, err = s.Apply(t.Context(), audit.Actor{}, PutSubscription(&bad))
		require.ErrorIs(t, err, errMarked)

		raw, _ := open(t, m).Snapshot().Subscription(sub.ID)
		require.True(t, raw.IsSealed(), "without cipher it is as in the log")
	})
}

// TestUnopenedSecretsStay reads with a key that is not the one: the subscription is there, is counted, and is written
// back with its sealed secrets untouched.
func TestUnopenedSecretsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, right := newMemory(), keyset(t)
		tenant := ident.New()
		sub := secretive(tenant, "x")
		func() {
			v, err := Open(t.Context(), m, Options{Cipher: right})
			require.NoError(t, err)
			defer run(t, v)()
			s := OpenStore(v, m.open, StoreOptions{})
			defer s.Close()
			apply(t, s, PutTenant(&subscription.Tenant{ID: tenant}), PutSubscription(sub))
		}()
		metrics := prometheus.NewRegistry()
		v, err := Open(t.Context(), m, Options{Cipher: keyset(t), Metrics: metrics})
		require.NoError(t, err)
		stop := run(t, v)
		s := OpenStore(v, m.open, StoreOptions{})
		got, ok := s.Snapshot().Subscription(sub.ID)
		require.True(t, ok)
		require.True(t, got.IsSealed())
		families, err := metrics.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "postrider_registry_unopened_total" {
				require.Equal(t, 1, int(f.GetMetric()[0].GetCounter().GetValue()), "once for the record")
			}
		}
		changed := *got
		changed.Name = "renamed"
		apply(t, s, PutSubscription(&changed))
		s.Close()
		stop()
		v, err = Open(t.Context(), m, Options{Cipher: right})
		require.NoError(t, err)
		back, _ := v.Snapshot().Subscription(sub.ID)
		require.Equal(t, "renamed", back.Name)
		require.Equal(t, sub.Secrets, back.Secrets)
		require.Equal(t, sub.OAuth, back.OAuth)
		require.Equal(t, sub.Encryption, back.Encryption)
		require.Equal(t, sub.Transformation.Variables, back.Transformation.Variables)
	})
}

// The time of a transformation is that of its own last change, not of the subscription's, nor of an encryption with another
// key of what is secret in it.
func TestTransformationsHaveATimeOfTheirOwn(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, _ *memory, s *Store) {
		tenant := ident.New()
		sub := &subscription.Subscription{
			ID: ident.New(), Tenant: tenant, URL: "https://a.example",
			Transformation: &subscription.Transformation{Code: ".", Variables: map[string]string{"a": "b"}},
		}
		apply(t, s, PutTenant(&subscription.Tenant{ID: tenant}), PutSubscription(sub))
		require.Zero(t, sub.Transformation.Updated, "the caller's is not touched")
		put := func(change func(*subscription.Subscription), reseal bool) *subscription.Subscription {
			time.Sleep(time.Hour)
			was, _ := s.Snapshot().Subscription(sub.ID)
			next := *was
			transformation := *was.Transformation
			next.Transformation = &transformation
			change(&next)
			if reseal {
				apply(t, s, Reseal(&next))
			} else {
				apply(t, s, PutSubscription(&next))
			}
			now, _ := s.Snapshot().Subscription(sub.ID)
			require.NotEqual(t, was.Version, now.Version, "written")
			return now
		}
		first, _ := s.Snapshot().Subscription(sub.ID)
		at := first.Transformation.Updated
		require.Equal(t, first.Created, at)
		require.Equal(t, at, put(func(n *subscription.Subscription) { n.Name = "b" }, false).Transformation.Updated)
		require.Equal(t, at, put(func(n *subscription.Subscription) {
			n.Transformation.Variables = map[string]string{"a": "sealed:x"}
		}, true).Transformation.Updated)
		require.Equal(t, at.Add(3*time.Hour), put(func(n *subscription.Subscription) { n.Transformation.Enabled = true }, false).Transformation.Updated)
	})
}

// TestClearRecordsAreRead reads what was written before there was encryption.
func TestClearRecordsAreRead(t *testing.T) {
	m := newMemory()
	sub := subscription.Subscription{ID: ident.New(), Tenant: ident.New(), Secrets: []string{"clear"}}
	m.add(subscriptionEntry(t, sub))
	v, err := Open(t.Context(), m, Options{Cipher: keyset(t)})
	require.NoError(t, err)
	got, _ := v.Snapshot().Subscription(sub.ID)
	require.Equal(t, []string{"clear"}, got.Secrets)
}

func TestWriteIsInTheRecord(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, m *memory, s *Store) {
		apply(t, s, PutTenant(&subscription.Tenant{ID: ident.New()}), PutTenant(&subscription.Tenant{ID: ident.New()}))
		var writes []string
		for _, e := range m.entries[:2] {
			var h header
			require.NoError(t, json.Unmarshal(e.value, &h))
			writes = append(writes, h.Write)
		}
		require.NotEmpty(t, writes[0])
		require.Equal(t, writes[0], writes[1])
	})
}

// TestCountersLoseNothing interleaves two stores at random, with answers that are lost: no addition that was acknowledged
// is missing, and none was made twice.
func TestCountersLoseNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) addition {
			return addition{
				store: rapid.IntRange(0, 1).Draw(rt, "store"), lost: rapid.IntRange(0, 4).Draw(rt, "lost") == 0,
				pause: time.Duration(rapid.IntRange(0, 50).Draw(rt, "pause")) * time.Millisecond,
			}
		}), 1, 25).Draw(rt, "additions")
		synctest.Test(t, func(t *testing.T) { addAll(t, steps) })
	})
}

// addition is one step of [TestCountersLoseNothing].
type addition struct {
	store int
	lost  bool
	pause time.Duration
}

func addAll(t *testing.T, steps []addition) {
	t.Helper()
	m := newMemory()
	id := ident.New()
	var stores [2]*Store
	for i := range stores {
		v := open(t, m)
		defer run(t, v)()
		stores[i] = OpenStore(v, m.open, StoreOptions{})
		defer stores[i].Close()
	}
	acknowledged := 0
	for _, a := range steps {
		if a.lost {
			m.set(func() { m.mute = true })
			time.AfterFunc(time.Millisecond, func() { m.set(func() { m.mute = false }) })
		}
		err := increment(t.Context(), stores[a.store], id)
		if _, conflict := errors.AsType[*ConflictError](err); !conflict {
			require.NoError(t, err)
			acknowledged++
		}
		time.Sleep(a.pause)
	}
	got, ok := open(t, m).Snapshot().Tenant(id)
	require.Equal(t, acknowledged > 0, ok)
	if ok {
		require.Len(t, got.Name, acknowledged)
	}
}
