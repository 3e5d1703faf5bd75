package demo

import (
	"maps"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/catalogue"
)

var northwind = Tenant{"b4de104a-4080-4a65-a139-247009f81dfd", "Northwind Outdoor"}

func systems(t *testing.T) []System {
	t.Helper()
	all, err := Systems(configs.Catalogues)
	require.NoError(t, err)
	return all
}

// passes is how many events are three times all examples of the system that has the most.
func passes(all []System) int {
	most := 0
	for _, s := range all {
		most = max(most, len(s.examples))
	}
	return 3 * most * len(all)
}

func TestEveryEventFitsItsCatalogue(t *testing.T) {
	t.Parallel()
	all := systems(t)
	eventTypes := map[string]*catalogue.EventType{}
	byTopic := map[string]*System{}
	for i := range all {
		byTopic[all[i].Topic] = &all[i]
		for _, et := range all[i].EventTypes {
			require.NotContains(t, eventTypes, et.Name)
			et.Version = int64(len(eventTypes)) + 1 // so that the compiled schemas are kept
			eventTypes[et.Name] = &et
		}
	}
	checks := catalogue.NewValidators(len(eventTypes))
	seen := map[string]bool{}
	s := NewStream(all, northwind, "run")
	for range passes(all) {
		ev, err := s.Next(time.Now())
		require.NoError(t, err)
		read, err := byTopic[ev.Topic].Decode(ev.Value, ev.headers())
		require.NoError(t, err)
		require.NoError(t, checks.Check(eventTypes[ev.Type], read.Data), "%s", read.Data)
		seen[ev.Type] = true
	}
	for name := range eventTypes {
		require.True(t, seen[name], "no %s", name)
	}
	require.Len(t, byTopic, 4)
}

func TestStreamNeverRepeatsAnID(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.FixedZone("x", 3600))
	all := systems(t)
	ids, inside := map[string]bool{}, map[string]bool{}
	for _, run := range []string{"a", "b"} {
		s := NewStream(all, northwind, run)
		for n := range passes(all) {
			ev, err := s.Next(now)
			require.NoError(t, err)
			require.False(t, ids[ev.ID])
			ids[ev.ID] = true
			if n%strangerEvery == strangerEvery-1 {
				require.Equal(t, stranger().UID, ev.Tenant)
			} else {
				require.Equal(t, northwind.UID, ev.Tenant)
			}
			if ev.Type == "CONVERSATION_NOTE_ADDED" {
				note := gjson.GetBytes(ev.Value, "data.note_id").String()
				require.False(t, inside[note], "a pass tells of other things than the one before")
				inside[note] = true
			}
		}
	}
	require.NotEmpty(t, inside)
}

// An event looks as its system writes it, and is of now.
func TestSystemsWriteInTheirForms(t *testing.T) {
	t.Parallel()
	s := NewStream(systems(t), northwind, "run")
	now := time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.FixedZone("x", 3600))
	const iso = "2026-03-01T11:00:00.005Z"
	events := map[string]Event{}
	for range 4 {
		ev, err := s.Next(now)
		require.NoError(t, err)
		events[ev.Topic] = ev
	}
	dixa := gjson.ParseBytes(events["dixa.conversation-events"].Value)
	require.Equal(t, "Northwind Outdoor", dixa.Get("organization.name").String())
	require.Equal(t, iso, dixa.Get("event_timestamp").String())
	require.Empty(t, events["dixa.conversation-events"].Headers)
	flex := gjson.ParseBytes(events["flexengage.events"].Value)
	require.Equal(t, northwind.UID, flex.Get("brandId").String())
	id, err := ulid.ParseStrict(flex.Get("id").String())
	require.NoError(t, err)
	require.Equal(t, now.UnixMilli(), ulid.Time(id.Time()).UnixMilli())
	for _, topic := range []string{"voyado.events", "voice.events"} {
		ev := events[topic]
		headers := maps.Collect(ev.headers())
		require.Equal(t, "1.0", string(headers["ce_specversion"]))
		require.Equal(t, iso, string(headers["ce_time"]))
		require.Equal(t, northwind.UID, string(headers["ce_tenant"]))
	}
}

func TestPatternsOfEndpoints(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]map[string]bool{
		"call.*":                {"call.started": true, "call.a.b": false, "campaign.started": false, "call": false},
		"contact.**":            {"contact.created": true, "contact.consent.changed": true, "contacts.x": false},
		"contact.*.changed":     {"contact.consent.changed": true, "contact.created": false},
		"CONVERSATION_CREATED":  {"CONVERSATION_CREATED": true, "CONVERSATION_CLOSED": false},
		"NOTIFICATION.SMS.SENT": {"NOTIFICATION.SMS.SENT": true, "NOTIFICATION.SMS.SENT.X": false},
	} {
		for name, covered := range want {
			require.Equal(t, covered, covers(pattern, name), "%s %s", pattern, name)
		}
	}
}
