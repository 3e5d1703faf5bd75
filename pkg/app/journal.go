package app

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// operatorKey is the key of audit entries about what belongs to no tenant.
const operatorKey = "operator"

// Journal returns the journal of the registry: an audit entry for every object, and operational events for subscriptions.
// snapshot is the registry before the changes, for the uids of tenants.
func Journal(prefix string, snapshot func() *registry.Snapshot) registry.Journal {
	return func(by audit.Actor, at time.Time, done []registry.Applied) ([]registry.Record, error) {
		j := journal{prefix: prefix, by: by, at: at, uids: map[ident.ID]string{}, snapshot: snapshot()}
		for _, d := range done {
			for _, t := range []*subscription.Tenant{d.Before.Tenant, d.After.Tenant} {
				if t != nil {
					j.uids[t.ID] = t.UID
				}
			}
		}
		for _, d := range done {
			if err := j.add(d); err != nil {
				return nil, fmt.Errorf("%s: %w", d.Key, err)
			}
		}
		return j.records, nil
	}
}

type journal struct {
	prefix   string
	by       audit.Actor
	at       time.Time
	snapshot *registry.Snapshot
	// uids are those of the tenants among the changes.
	uids    map[ident.ID]string
	records []registry.Record
}

func (j *journal) add(d registry.Applied) error {
	entry, changed, err := j.entry(d)
	if err != nil {
		return err
	}
	value, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encoding audit entry: %w", err)
	}
	key := operatorKey
	if !entry.Tenant.IsZero() {
		key = entry.Tenant.UUID()
	}
	j.records = append(j.records, registry.Record{
		Topic: j.prefix + topics.Audit, Key: key, Value: value, Headers: [][2]string{{"content-type", "application/json"}},
	})
	if d.Key.Kind != registry.KindSubscription {
		return nil
	}
	return j.events(d, changed)
}

// entry returns the audit entry of a change, and the names of the fields that changed.
func (j *journal) entry(d registry.Applied) (*audit.Entry, []string, error) {
	before, hiddenBefore, err := forms(d.Before)
	if err != nil {
		return nil, nil, err
	}
	after, hiddenAfter, err := forms(d.After)
	if err != nil {
		return nil, nil, err
	}
	action := audit.Updated
	switch {
	case d.Before.IsZero():
		action = audit.Created
	case d.After.IsZero():
		action = audit.Deleted
	}
	// Of what is the same, the time is not: it would be in every list.
	changed := slices.DeleteFunc(audit.Diff(before, after), func(name string) bool { return name == "updated" })
	e := &audit.Entry{
		Version: audit.Version, At: j.at, Actor: j.by, Action: action, Kind: string(d.Key.Kind), RegistryVersion: d.Version,
		ID:     ident.Derive("postrider/audit", d.Key.String(), strconv.FormatInt(d.Version, 10)).Base62(audit.IDPrefix),
		Before: hiddenBefore, After: hiddenAfter,
	}
	if action == audit.Updated {
		e.Changed = changed
	}
	e.Object, e.Tenant = named(d)
	return e, changed, nil
}

// named returns the object's name as the HTTP API has it, and the tenant it belongs to.
func named(d registry.Applied) (object string, tenant ident.ID) {
	o := d.After
	if o.IsZero() {
		o = d.Before
	}
	switch {
	case o.Tenant != nil:
		return o.Tenant.ID.Base62(subscription.TenantPrefix), o.Tenant.ID
	case o.Subscription != nil:
		return o.Subscription.ID.Base62(subscription.SubscriptionPrefix), o.Subscription.Tenant
	case o.EventType != nil:
		return o.EventType.Name, ident.ID{}
	case o.Key != nil:
		return o.Key.ID.Base62(access.KeyIDPrefix), o.Key.Tenant
	case o.Pause != nil:
		return o.Pause.Name(), o.Pause.Tenant
	}
	return d.Key.String(), ident.ID{}
}

// forms returns the JSON of an object as it is, to be compared, and without secrets, to be kept.
func forms(o registry.Object) (plain, hidden json.RawMessage, err error) {
	var was, shown any
	switch {
	case o.Tenant != nil:
		c := *o.Tenant
		if err := c.EachSecret(func(string, string) (string, error) { return audit.Hidden, nil }); err != nil {
			return nil, nil, err
		}
		was, shown = o.Tenant, &c
	case o.EventType != nil:
		was, shown = o.EventType, o.EventType
	case o.Key != nil:
		was, shown = o.Key, struct {
			*access.Key
			Hash string `json:"hash"` // in place of the key's own
		}{o.Key, audit.Hidden}
	case o.Pause != nil:
		was, shown = o.Pause, o.Pause
	case o.Subscription != nil:
		c := *o.Subscription
		if err := hide(&c); err != nil {
			return nil, nil, err
		}
		was, shown = o.Subscription, &c
	default:
		return nil, nil, nil
	}
	if plain, err = json.Marshal(was); err != nil {
		return nil, nil, fmt.Errorf("encoding: %w", err)
	}
	if hidden, err = json.Marshal(shown); err != nil {
		return nil, nil, fmt.Errorf("encoding: %w", err)
	}
	return plain, hidden, nil
}

// hide replaces everything in s that may be a credential.
func hide(s *subscription.Subscription) error {
	err := s.EachSecret(func(string, string) (string, error) { return audit.Hidden, nil })
	s.URL = hideURL(s.URL)
	if s.OAuth != nil { // a copy, see EachSecret
		s.OAuth.TokenURL = hideURL(s.OAuth.TokenURL)
	}
	return err
}

// hideURL replaces user information and query of a URL.
func hideURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return audit.Hidden
	}
	text := ""
	if u.User != nil {
		text = audit.Hidden + "@"
	}
	query := ""
	if u.RawQuery != "" {
		query = "?" + audit.Hidden
	}
	return u.Scheme + "://" + text + u.Host + u.EscapedPath() + query
}

// disabling are the fields that change when a subscription is disabled or enabled, which has events of its own.
var disabling = []string{"disabled", "disabledReason", "locked", "generation"} //nolint:gochecknoglobals // a constant

// events adds the operational events of a changed subscription.
func (j *journal) events(d registry.Applied, changed []string) error {
	before, after := d.Before.Subscription, d.After.Subscription
	switch {
	case before == nil:
		return j.event(operational.EndpointCreated, after, d.Version)
	case after == nil:
		return j.event(operational.EndpointDeleted, before, d.Version)
	}
	if slices.ContainsFunc(changed, func(name string) bool { return !slices.Contains(disabling, name) }) {
		if err := j.event(operational.EndpointUpdated, after, d.Version); err != nil {
			return err
		}
	}
	switch {
	case before.Disabled && !after.Disabled:
		return j.event(operational.EndpointEnabled, after, d.Version)
	case !before.Disabled && after.Disabled && j.by.Kind != audit.ActorSystem:
		// What Postrider disables itself was told by the deliverer that decided it, when it did.
		return j.event(operational.EndpointDisabled, after, d.Version)
	}
	return nil
}

func (j *journal) event(typ string, s *subscription.Subscription, version int64) error {
	data := operational.Endpoint{
		App: s.Tenant.Base62(subscription.TenantPrefix), AppUID: optional(j.uid(s.Tenant)),
		Endpoint: s.ID.Base62(subscription.SubscriptionPrefix), EndpointUID: optional(s.UID),
	}
	if typ == operational.EndpointDisabled {
		data.Trigger = operational.TriggerManual
	}
	value, err := operational.New(typ, s.Tenant, j.at, data, s.ID.UUID(), strconv.FormatInt(version, 10)).Value()
	if err != nil {
		return err
	}
	j.records = append(j.records, registry.Record{
		Topic: j.prefix + topics.Operational, Key: s.Tenant.UUID(), Value: value,
		Headers: [][2]string{{"content-type", operational.ContentType}},
	})
	return nil
}

func (j *journal) uid(tenant ident.ID) string {
	if uid, ok := j.uids[tenant]; ok {
		return uid
	}
	if t, ok := j.snapshot.Tenant(tenant); ok {
		return t.UID
	}
	return ""
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
