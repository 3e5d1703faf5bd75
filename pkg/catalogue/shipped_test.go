package catalogue

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
)

// shipped returns the event types of a catalogue that is inside the binary.
func shipped(t *testing.T, name string) []EventType {
	t.Helper()
	raw, err := configs.Catalogues.ReadFile("catalogues/" + name)
	require.NoError(t, err)
	f, err := ParseFile(name, raw)
	require.NoError(t, err)
	return f.EventTypes
}

func shippedNames(t *testing.T) []string {
	t.Helper()
	entries, err := fs.ReadDir(configs.Catalogues, "catalogues")
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestShippedCatalogues(t *testing.T) {
	t.Parallel()
	for _, name := range shippedNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			validators := NewValidators(100)
			for i, et := range shipped(t, name) {
				et.Version = int64(i + 1)
				require.NoError(t, Validate(&et), et.Name)
				assert.Regexp(t, `^[a-zA-Z0-9\-_.]{1,256}$`, et.Name)
				assert.NotEmpty(t, et.Description, et.Name)
				assert.NotEmpty(t, et.GroupName, et.Name)
				_, schema, ok := et.Current()
				require.True(t, ok, "%s has no schema", et.Name)
				examples := examplesOf(schema, schema, maxHops)
				require.NotEmpty(t, examples, "%s has no example", et.Name)
				for j := range examples {
					example, err := Example(&et, j)
					require.NoError(t, err)
					require.NoError(t, validators.Check(&et, example), "%s, example %d", et.Name, j)
				}
				require.Error(t, validators.Check(&et, []byte(`{}`)), "%s takes anything", et.Name)
			}
		})
	}
}

// An example that is made is good for every schema that people would write.
func TestMadeExamplesOfShippedSchemas(t *testing.T) {
	t.Parallel()
	for _, name := range shippedNames(t) {
		for _, et := range shipped(t, name) {
			_, schema, _ := et.Current()
			var fields map[string]any
			require.NoError(t, json.Unmarshal(schema, &fields))
			delete(fields, "examples")
			bare, err := json.Marshal(fields)
			require.NoError(t, err)
			et.Schemas = map[string]json.RawMessage{"1": bare}
			made, err := Example(&et, 0)
			require.NoError(t, err)
			if strings.Contains(string(bare), `"pattern"`) {
				continue // a pattern is not solved
			}
			assert.NoError(t, NewValidators(1).Check(&et, made), et.Name)
		}
	}
}

// The events that the sources and their digest name. A catalogue may hold more, never less.
func TestShippedCataloguesAreComplete(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"dixa.yaml": `CONVERSATION_CREATED CONVERSATION_ENQUEUED CONVERSATION_ASSIGNED CONVERSATION_UNASSIGNED
			CONVERSATION_CLOSED CONVERSATION_NOTE_ADDED CONVERSATION_MESSAGE_ADDED CONVERSATION_TAG_ADDED
			CONVERSATION_TAG_REMOVED CONVERSATION_OPEN CONVERSATION_PENDING CONVERSATION_PENDING_EXPIRED
			CONVERSATION_TRANSFERRED CONVERSATION_ABANDONED CONVERSATION_RATED CONVERSATION_END_USER_REPLACED
			AGENT_BANNED_ENDUSER AGENT_UNBANNED_ENDUSER AGENT_BANNED_IP AGENT_UNBANNED_IP
			CONVERSATION_CUSTOM_ATTRIBUTE_UPDATED CONVERSATION_TRANSCRIPTION_ADDED
			CONVERSATION_MESSAGE_DELIVERY_SENT CONVERSATION_MESSAGE_DELIVERY_DELIVERED
			CONVERSATION_MESSAGE_DELIVERY_SEEN CONVERSATION_MESSAGE_DELIVERY_FAILED
			CONVERSATION_MESSAGE_DELIVERY_INFO CONVERSATION_MESSAGE_DELIVERY_SPAM_COMPLAINT
			SLA_EVALUATION_PENDING SLA_EVALUATION_BREACHED SLA_EVALUATION_ACHIEVED SLA_EVALUATION_VOIDED
			TYPING_STARTED`,
		"voyado.yaml": `contact.acceptsEmail.changed contact.acceptsSms.changed contact.acceptsPostal.changed
			contact.consent.changed loyalty.addPoints point.balance.updated reward.voucher.created
			promotion.multichannel.assigned contact.created contact.updated contact.deleted`,
		"voice.yaml": `call.started call.completed call.failed contact.created contact.updated contact.deleted
			campaign.started campaign.completed campaign.paused campaign.resumed integration.connected
			integration.disconnected`,
		"flexengage.yaml": `NOTIFICATION.SMS.RECEIPT`,
	} {
		var got []string
		for _, et := range shipped(t, name) {
			got = append(got, et.Name)
		}
		assert.Subset(t, got, strings.Fields(want), name)
	}
}
