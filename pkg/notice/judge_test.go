package notice

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sub = ident.Derive("test", "sub")
	all = subscription.Notices{
		EndpointDisabled: true, FailingFor: subscription.Duration(time.Hour), SuccessRate: 90, EventTypeFailing: true,
	}
)

func ok(name string, ago time.Duration) Type { return Type{Name: name, At: now.Add(-ago), OK: true} }

func failed(ago time.Duration, inARow int) Type {
	return Type{Name: "a", At: now.Add(-ago), InARow: inARow}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		f    Facts
		n    subscription.Notices
		// want are the findings, unknown ones in brackets, and well ones with a plus.
		want string
		// says is in the details.
		says string
	}{
		{"nothing is known", Facts{}, all, "+disabled (failing) (success-rate)", ""},
		{"nothing is wanted", Facts{Disabled: "gone", Window: Counts{9, 0}}, subscription.Notices{}, "", ""},
		{
			"well",
			Facts{Types: []Type{ok("a", time.Minute)}, Hour: Counts{30, 30}, Window: Counts{30, 30}},
			all,
			"+disabled +failing +success-rate +event-type a", "",
		},
		{
			"disabled covers the rest",
			Facts{Disabled: "failing", Locked: true, Types: []Type{failed(0, 5), ok("b", 0)}, Window: Counts{9, 0}},
			all,
			"disabled (failing) (success-rate) (event-type a) (event-type b)", "failed for too long. Only your provider",
		},
		{"gone", Facts{Disabled: "gone"}, subscription.Notices{EndpointDisabled: true}, "disabled", "wants no more events."},
		{"a person switched it off", Facts{Off: true, Window: Counts{9, 0}}, all, "(disabled) (failing) (success-rate)", ""},
		{
			"failing covers what is below",
			Facts{Types: []Type{failed(0, 5)}, Hour: Counts{30, 0}, Window: Counts{30, 0}},
			all,
			"+disabled failing (success-rate) (event-type a)", "Nothing has succeeded for an hour: 30 attempts failed.",
		},
		{
			"two failures are not yet failing",
			Facts{Types: []Type{failed(0, 2)}, Window: Counts{2, 0}},
			all,
			"+disabled (failing) (success-rate) (event-type a)", "",
		},
		{
			"it failed, and is well since",
			Facts{Types: []Type{failed(time.Minute, 5), ok("b", 0)}, Window: Counts{9, 0}},
			subscription.Notices{FailingFor: all.FailingFor},
			"+failing", "",
		},
		{
			"nothing was tried since it failed",
			Facts{Types: []Type{failed(3*time.Hour, 5)}},
			subscription.Notices{FailingFor: all.FailingFor},
			"(failing)", "",
		},
		{
			"below the bound",
			Facts{Types: []Type{ok("a", 0)}, Hour: Counts{100, 89}, Window: Counts{100, 89}},
			all,
			"+disabled +failing success-rate +event-type a", "11 of 100 attempts in the last hour failed: a success rate of 89 %, below 90 %.",
		},
		{"at the bound", Facts{Hour: Counts{100, 90}}, subscription.Notices{SuccessRate: 90}, "+success-rate", ""},
		{"too few to say", Facts{Hour: Counts{19, 1}}, subscription.Notices{SuccessRate: 90}, "(success-rate)", ""},
		{"few, and all good", Facts{Hour: Counts{2, 2}}, subscription.Notices{SuccessRate: 90}, "+success-rate", ""},
		{
			"one type fails",
			Facts{Types: []Type{failed(0, 5), ok("b", time.Hour)}},
			subscription.Notices{EventTypeFailing: true},
			"event-type a +event-type b", "The last 5 attempts with a failed",
		},
		{
			"one type has failed too rarely",
			Facts{Types: []Type{failed(0, 4), ok("b", 0)}},
			subscription.Notices{EventTypeFailing: true},
			"(event-type a) +event-type b", "",
		},
		{
			"no other type is known to succeed",
			Facts{Types: []Type{failed(0, 5), ok("b", 25*time.Hour)}},
			subscription.Notices{EventTypeFailing: true},
			"(event-type a) +event-type b", "",
		},
		{
			"an old failure is not worth a word",
			Facts{Types: []Type{failed(25*time.Hour, 5), ok("b", 0)}},
			subscription.Notices{EventTypeFailing: true},
			"+event-type b", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.f.Subscription = sub
			var got, details []string
			for _, f := range Judge(&c.f, &c.n, now) {
				require.Equal(t, sub, f.Subscription)
				text := strings.TrimSpace(string(f.Kind) + " " + f.EventType)
				switch f.Verdict {
				case Well:
					text = "+" + text
				case Unknown:
					text = "(" + text + ")"
				case Bad:
					require.NotEmpty(t, f.Detail)
				}
				require.Equal(t, f.Verdict == Bad, f.Detail != "")
				got, details = append(got, text), append(details, f.Detail)
			}
			require.Equal(t, c.want, strings.Join(got, " "))
			require.Contains(t, strings.Join(details, " "), c.says)
		})
	}
}

func TestProblemsAreKeys(t *testing.T) {
	t.Parallel()
	want := map[Problem]int{{Disabled, sub, ""}: 1, {EventType, sub, "a.b/c"}: 2}
	raw, err := json.Marshal(want)
	require.NoError(t, err)
	var got map[Problem]int
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Equal(t, want, got)
	for _, bad := range []string{`{"x":1}`, `{"disabled/y/":1}`} {
		require.Error(t, json.Unmarshal([]byte(bad), &got), bad)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Hour: "an hour", 24 * time.Hour: "24 hours", 15 * time.Minute: "15 minutes", 90 * time.Minute: "90 minutes", 90 * time.Second: "1m30s",
	} {
		require.Equal(t, want, words(d))
	}
}

// Addresses are in no key and no text of a recipient: both are stored and logged.
func TestRecipients(t *testing.T) {
	t.Parallel()
	require.Empty(t, Recipients(nil))
	got := Recipients(&subscription.Notices{
		Emails: []string{"a@example.com", "A@example.com"}, Chat: &subscription.Chat{Kind: subscription.ChatTeams, URL: "https://chat.example/hush"},
	})
	require.Equal(t, []Recipient{{Email, "a@example.com"}, {Email, "A@example.com"}, {Teams, "https://chat.example/hush"}}, got)
	require.Equal(t, got[0].Key(), got[1].Key())
	for _, r := range got {
		for _, text := range []string{r.Key(), r.String(), r.GoString()} {
			require.NotContains(t, text, "example")
			require.NotContains(t, text, "hush")
		}
	}
	require.Empty(t, Recipients(&subscription.Notices{Chat: &subscription.Chat{Kind: subscription.ChatSlack, URL: "sealed:x"}}))
}
