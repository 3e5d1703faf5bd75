package demo_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs/demo"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/topics"
)

// types are the conversation events that every profile of such systems knows.
var types = []string{
	"CONVERSATION_CREATED", "CONVERSATION_ENQUEUED", "CONVERSATION_ASSIGNED", "CONVERSATION_UNASSIGNED", "CONVERSATION_CLOSED",
	"CONVERSATION_NOTE_ADDED", "CONVERSATION_MESSAGE_ADDED", "CONVERSATION_TAG_ADDED", "CONVERSATION_TAG_REMOVED",
	"CONVERSATION_OPEN", "CONVERSATION_PENDING", "CONVERSATION_PENDING_EXPIRED", "CONVERSATION_TRANSFERRED",
	"CONVERSATION_ABANDONED", "CONVERSATION_RATED", "CONVERSATION_END_USER_REPLACED", "AGENT_BANNED_ENDUSER",
	"AGENT_UNBANNED_ENDUSER", "AGENT_BANNED_IP", "AGENT_UNBANNED_IP",
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := topics.Schemas.Open("schemas/conversation-event.json")
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(f)
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("conversation-event.json", doc))
	s, err := c.Compile("conversation-event.json")
	require.NoError(t, err)
	return s
}

// source returns the source of the shipped production file that reads these events.
func source(t *testing.T) event.Source {
	t.Helper()
	cfg, err := config.Load("../production.yaml", nil, nil)
	require.NoError(t, err)
	for _, s := range cfg.Sources {
		if s.Name == "dixa" {
			return s.Source
		}
	}
	t.Fatal("configs/production.yaml has no source dixa")
	return event.Source{}
}

func TestConversationEvents(t *testing.T) {
	s := schema(t)
	d, err := event.NewDecoder(source(t))
	require.NoError(t, err)
	ids, tenants, seen := map[string]bool{}, map[string]bool{}, map[string]bool{}
	var last time.Time
	lines := bytes.Split(bytes.TrimSpace(demo.ConversationEvents), []byte("\n"))
	require.GreaterOrEqual(t, len(lines), 60)
	for i, line := range lines {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		require.NoError(t, err, "line %d", i+1)
		require.NoError(t, s.Validate(doc), "line %d", i+1)
		e, err := d.Decode(event.Record{Value: line})
		require.NoError(t, err, "line %d", i+1)
		require.False(t, ids[e.ID], "line %d: id %s stands there twice", i+1, e.ID)
		require.True(t, e.Time.After(last), "line %d: before the line above", i+1)
		ids[e.ID], tenants[e.Tenant], seen[e.Type], last = true, true, true, e.Time
	}
	require.Len(t, tenants, 2)
	for _, name := range types {
		require.True(t, seen[name], "no %s", name)
	}
	require.Len(t, seen, len(types))
}
