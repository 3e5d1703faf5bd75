package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/notify"
)

// posted is a request to a chat.
type posted struct {
	agent, kind, body string
}

// room is a chat that answers with a status, and redirects to where it must not be followed.
func room(t *testing.T, status int) (url string, got chan posted) {
	t.Helper()
	got = make(chan posted, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got <- posted{r.UserAgent(), r.Header.Get("Content-Type"), string(raw)}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(server.Close)
	return server.URL + "/services/hush", got
}

// toChats sends through the transport of endpoints.
func toChats(t *testing.T, conf egress.Config) *notify.Sender {
	t.Helper()
	transport, err := egress.New(conf)
	require.NoError(t, err)
	t.Cleanup(transport.Close)
	s, err := notify.New(notify.Options{Transport: transport, UserAgent: "Postrider/1"})
	require.NoError(t, err)
	return s
}

func TestChatIsTold(t *testing.T) {
	t.Parallel()
	s := toChats(t, egress.Config{AllowHTTP: true, AnyPort: true, AllowNetworks: loopback})
	for _, medium := range []notice.Medium{notice.Slack, notice.Teams} {
		url, got := room(t, http.StatusOK)
		require.NoError(t, s.Send(t.Context(), notice.Recipient{Medium: medium, Address: url}, digest(hostile)))
		req := <-got
		require.Equal(t, "Postrider/1", req.agent)
		require.Equal(t, "application/json", req.kind)
		want, err := digest(hostile).Chat(medium)
		require.NoError(t, err)
		require.JSONEq(t, string(want), req.body)
		var object map[string]any
		require.NoError(t, json.Unmarshal([]byte(req.body), &object))
	}
}

// What goes wrong is told without the URL, which is a secret, and without what the other side says.
func TestChatRefuses(t *testing.T) {
	t.Parallel()
	s := toChats(t, egress.Config{AllowHTTP: true, AnyPort: true, AllowNetworks: loopback})
	for _, c := range []struct {
		status  int
		why     string
		refused bool
	}{
		{http.StatusNotFound, "the chat answered 404", true},
		{http.StatusFound, "the chat answered 302", true},
		{http.StatusTooManyRequests, "the chat answered 429", false},
		{http.StatusBadGateway, "the chat answered 502", false},
	} {
		url, got := room(t, c.status)
		err := failure(t, s.Send(t.Context(), notice.Recipient{Medium: notice.Slack, Address: url}, digest("Acme")))
		require.Equal(t, c.why, err.Error())
		require.Equal(t, c.refused, err.Refused)
		require.Len(t, got, 1, "no redirect is followed")
	}
	for _, address := range []string{"http://127.0.0.1:1/services/hush", "http://\x00/hush", "://hush"} {
		err := failure(t, s.Send(t.Context(), notice.Recipient{Medium: notice.Slack, Address: address}, digest("Acme")))
		require.NotContains(t, err.Error(), "hush")
	}
	silent := "http://" + silent(t).String() + "/services/hush"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := failure(t, s.Send(ctx, notice.Recipient{Medium: notice.Slack, Address: silent}, digest("Acme")))
	require.Equal(t, "the chat did not answer in time", err.Error())
	require.True(t, failure(t, s.Send(t.Context(), notice.Recipient{Medium: "irc"}, digest("Acme"))).Refused)
}

// A chat is no way into the installation's own network.
func TestChatIsGuarded(t *testing.T) {
	t.Parallel()
	s := toChats(t, egress.Config{AllowHTTP: true, AnyPort: true, AllowInternalNames: true})
	url, got := room(t, http.StatusOK)
	err := failure(t, s.Send(t.Context(), notice.Recipient{Medium: notice.Slack, Address: url}, digest("Acme")))
	require.Equal(t, "the chat could not be reached", err.Why)
	require.NotContains(t, err.Why, "127.0.0.1")
	require.Empty(t, got)
}
