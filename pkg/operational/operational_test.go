package operational_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/operational"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC)

func TestReadWhatWasWritten(t *testing.T) {
	uid, since := "acme", at.Add(-time.Hour)
	endpoint := operational.Endpoint{
		App: "app_1", AppUID: &uid, Endpoint: "ep_1", FailSince: &since, Trigger: operational.TriggerAutomatic, Generation: 7, Reason: "gone",
	}
	attempt := operational.Attempt{
		App: "app_1", Message: "msg_1", EventID: &uid, Endpoint: "ep_1", Last: operational.LastAttempt{ID: "atmpt_1", StatusCode: 500, Timestamp: at},
	}
	for _, typ := range operational.Types() {
		var data any = endpoint
		if slices.Contains([]string{operational.AttemptExhausted, operational.AttemptFailing, operational.AttemptRecovered}, typ) {
			data = attempt
		}
		want := operational.New(typ, ident.New(), at, data, "part")
		value, err := want.Value()
		require.NoError(t, err)
		got, err := operational.Read(value)
		require.NoError(t, err)
		require.Equal(t, want, got, typ)
	}
}

// Subscribers receive what the Svix API sends: type and data, ids in the forms of the HTTP API, absent uids as null.
func TestValue(t *testing.T) {
	e := operational.New(operational.EndpointCreated, ident.New(), at, operational.Endpoint{App: "app_1", Endpoint: "ep_1"}, "ep_1")
	value, err := e.Value()
	require.NoError(t, err)
	require.JSONEq(t, `{"specversion":"1.0","id":"`+e.ID.UUID()+`","source":"postrider/operational","type":"endpoint.created",`+
		`"time":"2026-03-01T12:00:00.005Z","tenant":"`+e.Tenant.UUID()+`","datacontenttype":"application/json",`+
		`"data":{"type":"endpoint.created","data":{"appId":"app_1","appUid":null,"endpointId":"ep_1","endpointUid":null}}}`, string(value))
}

// What is told twice is one event; what differs in a part is another.
func TestIDIsDerived(t *testing.T) {
	tenant := ident.New()
	one := operational.New(operational.EndpointDisabled, tenant, at, nil, "ep_1", "7")
	require.Equal(t, one.ID, operational.New(operational.EndpointDisabled, tenant, at.Add(1), 5, "ep_1", "7").ID)
	for _, other := range []operational.Event{
		operational.New(operational.EndpointDisabled, tenant, at, nil, "ep_1", "8"),
		operational.New(operational.EndpointDisabled, tenant, at, nil, "ep_17"),
		operational.New(operational.EndpointEnabled, tenant, at, nil, "ep_1", "7"),
		operational.New(operational.EndpointDisabled, ident.New(), at, nil, "ep_1", "7"),
	} {
		require.NotEqual(t, one.ID, other.ID)
	}
}

func TestReadRefuses(t *testing.T) {
	good, err := operational.New(operational.EndpointCreated, ident.New(), at, operational.Endpoint{}).Value()
	require.NoError(t, err)
	with := func(member string, value any) []byte {
		var m map[string]any
		require.NoError(t, json.Unmarshal(good, &m))
		m[member] = value
		raw, err := json.Marshal(m)
		require.NoError(t, err)
		return raw
	}
	for _, c := range []struct {
		value []byte
		want  string
	}{
		{nil, "reading operational event"},
		{with("id", "1"), "id: "},
		{with("tenant", "acme"), "tenant: "},
		{with("data", map[string]any{"data": []int{1}}), "data of endpoint.created"},
	} {
		_, err := operational.Read(c.value)
		require.ErrorContains(t, err, c.want)
	}
	later, err := operational.Read(with("type", "endpoint.renamed"))
	require.NoError(t, err)
	require.Nil(t, later.Data, "of a type that this version does not know")
}
