package subscription

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNearest(t *testing.T) {
	names := []string{"contact.created", "contact.deleted", "CONVERSATION_CREATED"}
	for name, want := range map[string]string{
		"contact.create": "contact.created", "contat.created": "contact.created", "Contact.Created": "contact.created",
		"conversation_created": "CONVERSATION_CREATED", "contact.delted": "contact.deleted",
		"order.created": "", "contact": "", "": "",
	} {
		require.Equal(t, want, Nearest(name, slices.Values(names)), name)
	}
}
