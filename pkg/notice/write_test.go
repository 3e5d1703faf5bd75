package notice

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

var update = flag.Bool("update", false, "write what is sent to testdata")

var (
	portal = Portal{URL: "https://hooks.example.com/portal", Product: "Webhooks"}
	acme   = &subscription.Tenant{ID: ident.Derive("test", "acme"), Name: "Acme"}
)

// endpoints are named "orders", with a URL that has a token.
func endpoints(id ident.ID) (*subscription.Subscription, bool) {
	return &subscription.Subscription{ID: id, Name: "orders", URL: "https://erp.example.com/events?token=hush"}, id == sub
}

func news() News {
	other := ident.Derive("test", "other")
	return News{
		Bad: []Item{
			{Problem{Disabled, sub, ""}, now, "It was disabled: it has failed for too long."},
			{Problem{EventType, sub, "order.placed"}, now.Add(time.Minute), "The last 5 attempts with order.placed failed; other event types succeed."},
		},
		Well:  []Item{{Problem: Problem{SuccessRate, other, ""}, Since: now}, {Problem: Problem{EventType, sub, "a.b"}}},
		Still: 1,
	}
}

// What is sent stands in testdata, for every medium.
func TestWritten(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]Digest{"news": portal.Digest(acme, news(), endpoints), "test": portal.Test(acme)} {
		mail, err := d.Mail()
		require.NoError(t, err)
		slack, err := d.Chat(Slack)
		require.NoError(t, err)
		teams, err := d.Chat(Teams)
		require.NoError(t, err)
		_, err = d.Chat(Email)
		require.Error(t, err)
		for ending, text := range map[string]string{"txt": mail.Text, "html": mail.HTML, "slack.json": string(slack), "teams.json": string(teams)} {
			require.NotContains(t, text, "hush")
			path := filepath.Join("testdata", name+"."+ending)
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), text, path)
		}
	}
}

// Whatever tenants call things, it stays text: it is one line, no link, no mention, no element, no header of the mail.
func TestHostileContentStaysText(t *testing.T) {
	t.Parallel()
	const name = "<img src=x onerror=alert(1)>\r\nBcc: all@example.com\n`<!channel> @here [x](https://evil.example) \u202egpj.exe\x00\u2028{{.}}"
	n := news()
	n.Bad[1].EventType = name
	hostile := func(id ident.ID) (*subscription.Subscription, bool) {
		return &subscription.Subscription{ID: id, Name: name, URL: "https://x.example/<script>?a=b"}, true
	}
	p := Portal{URL: portal.URL, Product: name}
	d := p.Digest(&subscription.Tenant{ID: acme.ID, Name: name}, n, hostile)
	mail, err := d.Mail()
	require.NoError(t, err)
	require.NotRegexp(t, `[[:cntrl:]]`, mail.Subject)
	require.NotContains(t, mail.HTML, "<img")
	require.NotContains(t, mail.HTML, "<script")
	for line := range strings.Lines(mail.Text) {
		require.False(t, strings.HasPrefix(line, "Bcc"), "a name is not a line of its own")
	}
	for _, text := range []string{mail.Text, mail.HTML} {
		require.NotRegexp(t, "[\x00\u202e\u2028\r]", text)
	}

	raw, err := d.Chat(Slack)
	require.NoError(t, err)
	var slack struct{ Text string }
	require.NoError(t, json.Unmarshal(raw, &slack))
	require.NotContains(t, slack.Text, "<")
	for line := range strings.Lines(slack.Text) {
		require.Equal(t, 0, strings.Count(line, "`")%2, "nothing leaves its code: %s", line)
		for i, part := range strings.Split(line, "`") {
			if i%2 == 0 {
				require.NotContains(t, part, "@here")
				require.NotContains(t, part, "[x]")
			}
		}
	}

	raw, err = d.Chat(Teams)
	require.NoError(t, err)
	var card any
	require.NoError(t, json.Unmarshal(raw, &card))
	each(card, func(o map[string]any) {
		require.NotEqual(t, "TextBlock", o["type"], "which reads Markdown")
		if link, ok := o["url"].(string); ok {
			require.True(t, strings.HasPrefix(link, portal.URL), link)
		}
	})
}

// each calls fn for every object of a JSON value.
func each(v any, fn func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		fn(v)
		for _, member := range v {
			each(member, fn)
		}
	case []any:
		for _, element := range v {
			each(element, fn)
		}
	}
}

func TestLongDigestsAreCut(t *testing.T) {
	t.Parallel()
	n := News{Still: 3}
	for i := range 3 * MaxLines {
		n.Bad = append(n.Bad, Item{finding(Failing, i, Bad).Problem, now, strings.Repeat("x", 10)})
	}
	n.Well = append(n.Well, n.Bad[:MaxLines+1]...)
	d := portal.Digest(&subscription.Tenant{Name: strings.Repeat("ä", 1000)}, n, endpoints)
	require.Len(t, d.Bad, MaxLines)
	require.Equal(t, "Not named here: 40 new problems, 1 well again. Still open from earlier notices: 3.", d.Rest())
	require.Equal(t, "Webhooks of "+strings.Repeat("ä", maxText)+"…: 60 new problems, 21 well again", d.Subject())
	mail, err := d.Mail()
	require.NoError(t, err)
	require.Less(t, len(mail.Text)+len(mail.HTML), 64<<10)
}
