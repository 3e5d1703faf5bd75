package subscription

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestValidateNotices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		n    Notices
		want []string
	}{
		{"nothing", Notices{}, nil},
		{"all", Notices{
			Emails: []string{"ops@example.com", "on.call+webhooks@mail.example.co"}, Chat: &Chat{ChatSlack, "https://hooks.example/x"},
			EndpointDisabled: true, FailingFor: Duration(time.Hour), SuccessRate: 90, EventTypeFailing: true,
		}, nil},
		{"too many", Notices{Emails: strings.Fields("a@b.c b@b.c c@b.c d@b.c e@b.c f@b.c")}, []string{"notices.emails"}},
		{"twice", Notices{Emails: []string{"a@b.c", "A@B.c"}}, []string{"notices.emails[1]"}},
		{"chat of another kind", Notices{Chat: &Chat{"irc", "https://x.example"}}, []string{"notices.chat.kind"}},
		{"chat without a URL", Notices{Chat: &Chat{Kind: ChatTeams}}, []string{"notices.chat.url"}},
		{"chat at a bad URL", Notices{Chat: &Chat{ChatTeams, "http://x.example"}}, []string{"notices.chat.url"}},
		{"too soon", Notices{FailingFor: Duration(time.Minute)}, []string{"notices.failingFor"}},
		{"too late", Notices{FailingFor: Duration(48 * time.Hour)}, []string{"notices.failingFor"}},
		{"no share", Notices{SuccessRate: 101}, []string{"notices.successRate"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, fields(t, ValidateTenant(&Tenant{Name: "Acme", Notices: &c.n}, testRules())))
		})
	}
	for _, address := range []string{
		"", "ops", "ops@localhost", "ops@example.", "@example.com", "Ops <ops@example.com>", `"o s"@example.com`, "ops@[127.0.0.1]",
		"ops@example.com\r\nBcc: all@example.com", "a@example.com, b@example.com", "öps@example.com", strings.Repeat("a", 250) + "@b.co",
	} {
		n := &Notices{Emails: []string{address}}
		require.Equal(t, []string{"notices.emails[0]"}, fields(t, ValidateTenant(&Tenant{Name: "Acme", Notices: n}, testRules())), "%q", address)
	}
}
