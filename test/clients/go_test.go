package clients

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"
)

// received is a request to the Go receiver.
type received struct {
	headers http.Header
	body    []byte
}

// testGo goes a short way with the Go client. It is of 2024 and sends older names of fields (filterTypes, rateLimit, version),
// which are understood. It decodes strictly, so that it cannot read an endpoint as the API has it since: without version, and
// with eventTypes. What it makes is there nevertheless.
func testGo(t *testing.T, s *system) {
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	got := make(chan received, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a body that is not whole does not verify
		got <- received{r.Header, body}
	}))
	defer server.Close()
	c := svix.New(s.token, &svix.SvixOptions{ServerUrl: s.serverURL(t)})

	app, err := c.Application.GetOrCreate(ctx, &svix.ApplicationIn{Name: "Go", Uid: new("go")})
	require.NoError(t, err)
	again, err := c.Application.Get(ctx, "go")
	require.NoError(t, err)
	require.Equal(t, app.Id, again.Id)
	_, err = c.EventType.Create(ctx, &svix.EventTypeIn{Name: "go.created", Description: "made by Go"})
	require.NoError(t, err)
	limit := int32(100)
	listed, err := c.EventType.List(ctx, &svix.EventTypeListOptions{Limit: &limit})
	require.NoError(t, err)
	require.Contains(t, names(listed), "go.created")

	secret := endpointByGo(ctx, t, s, c, server.URL)
	messagesByGo(ctx, t, c, secret, got)
	attemptsByGo(ctx, t, s, c)

	access, err := c.Authentication.AppPortalAccess(ctx, "go", &svix.AppPortalAccessIn{})
	require.NoError(t, err)
	require.Contains(t, access.Url, access.Token)
	_, err = svix.New(access.Token, &svix.SvixOptions{ServerUrl: s.serverURL(t)}).Application.List(ctx, nil)
	requireStatus(t, http.StatusForbidden, err)
	require.NoError(t, c.Application.Delete(ctx, "go"))
	_, err = c.Application.Get(ctx, "go")
	requireStatus(t, http.StatusNotFound, err)
}

func names(l *svix.ListResponseEventTypeOut) (out []string) {
	for _, e := range l.Data {
		out = append(out, e.Name)
	}
	return out
}

func requireStatus(t *testing.T, want int, err error) {
	t.Helper()
	refused, ok := errors.AsType[*svix.Error](err)
	require.True(t, ok, "%T: %v", err, err)
	require.Equal(t, want, refused.Status(), string(refused.Body()))
}

// endpointByGo makes an endpoint with the older names and returns its secret.
func endpointByGo(ctx context.Context, t *testing.T, s *system, c *svix.Svix, to string) string {
	t.Helper()
	version, rate := int32(1), int32(50)
	_, err := c.Endpoint.Create(ctx, "go", &svix.EndpointIn{
		Url: to, Uid: new("go"), FilterTypes: []string{"go.created"}, RateLimit: &rate, Version: &version,
	})
	require.ErrorContains(t, err, "version", "it reads endpoints: use it for them, too")
	var made struct {
		EventTypes   []string `json:"eventTypes"`
		ThrottleRate int      `json:"throttleRate"`
	}
	s.call(ctx, t, http.MethodGet, "/app/go/endpoint/go", "", &made)
	require.Equal(t, []string{"go.created"}, made.EventTypes)
	require.Equal(t, 50, made.ThrottleRate)

	require.NoError(t, c.Endpoint.UpdateHeaders(ctx, "go", "go", &svix.EndpointHeadersIn{Headers: map[string]string{"X-Go": "1"}}))
	headers, err := c.Endpoint.GetHeaders(ctx, "go", "go")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"X-Go": "1"}, headers.Headers)
	before, err := c.Endpoint.GetSecret(ctx, "go", "go")
	require.NoError(t, err)
	require.NoError(t, c.Endpoint.RotateSecret(ctx, "go", "go", &svix.EndpointSecretRotateIn{}))
	after, err := c.Endpoint.GetSecret(ctx, "go", "go")
	require.NoError(t, err)
	require.NotEqual(t, before.Key, after.Key)
	require.Equal(t, "all", s.call(ctx, t, http.MethodPatch, "/app/go?wait=applied", "{}", nil).Get("Postrider-Applied"))
	return after.Key
}

func messagesByGo(ctx context.Context, t *testing.T, c *svix.Svix, secret string, got <-chan received) {
	t.Helper()
	in := svix.MessageIn{EventType: "go.created", EventId: new("go-1"), Payload: map[string]any{"id": "1"}}
	once := &svix.PostOptions{IdempotencyKey: new("go")}
	sent, err := c.Message.CreateWithOptions(ctx, "go", &in, once)
	require.NoError(t, err)
	repeated, err := c.Message.CreateWithOptions(ctx, "go", &in, once)
	require.NoError(t, err)
	require.Equal(t, sent.Id, repeated.Id)
	_, err = c.Message.Create(ctx, "go", &in)
	requireStatus(t, http.StatusConflict, err)
	found, err := c.Message.Get(ctx, "go", sent.Id)
	require.NoError(t, err)
	require.Equal(t, in.Payload, found.Payload)
	list, err := c.Message.List(ctx, "go", nil)
	require.NoError(t, err)
	require.Len(t, list.Data, 1)

	for n := range 2 {
		select {
		case r := <-got:
			wh, err := svix.NewWebhook(secret)
			require.NoError(t, err)
			require.NoError(t, wh.Verify(r.body, r.headers))
			require.Equal(t, sent.Id, r.headers.Get("webhook-id"))
			require.Equal(t, "1", r.headers.Get("X-Go"))
		case <-time.After(2 * time.Minute): // seconds on an idle machine
			require.Fail(t, "the event did not come")
		}
		if n == 0 {
			require.NoError(t, c.MessageAttempt.Resend(ctx, "go", sent.Id, "go"))
		}
	}
	_, err = c.Endpoint.Recover(ctx, "go", "go", &svix.RecoverIn{Since: time.Now().Add(-time.Hour)})
	require.ErrorContains(t, err, "updatedAt", "it reads tasks as they are: use it for them, too")
}

// attemptsByGo reads the attempt of the event. The client decodes it strictly, too, and does not know statusText, which the API
// has had since: of a list with an attempt it says so, one without it reads.
func attemptsByGo(ctx context.Context, t *testing.T, s *system, c *svix.Svix) {
	t.Helper()
	var list struct {
		Data []struct {
			ID, MsgID, StatusText string
			ResponseStatusCode    int
		} `json:"data"`
	}
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for len(list.Data) == 0 { // the views are a moment behind
		select {
		case <-ticker.C:
			s.call(ctx, t, http.MethodGet, "/app/go/attempt/endpoint/go", "", &list)
		case <-ctx.Done():
			require.Fail(t, "the attempt is not found")
		}
	}
	require.Equal(t, "success", list.Data[0].StatusText)
	require.Equal(t, http.StatusOK, list.Data[0].ResponseStatusCode)
	_, err := c.MessageAttempt.ListByEndpoint(ctx, "go", "go", nil)
	require.ErrorContains(t, err, "statusText", "it reads attempts: use it for them, too")
	later := time.Now().Add(time.Hour)
	none, err := c.MessageAttempt.ListByMsg(ctx, "go", list.Data[0].MsgID, &svix.MessageAttemptListOptions{After: &later})
	require.NoError(t, err)
	require.Empty(t, none.Data)
	require.True(t, none.Done)
	_, err = c.MessageAttempt.Get(ctx, "go", list.Data[0].MsgID, "atmpt_000000000000000000000000000")
	requireStatus(t, http.StatusNotFound, err)
}

// call is a request to the API without a client; it returns the headers of the answer.
func (s *system) call(ctx context.Context, t *testing.T, method, path, body string, out any) http.Header {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, s.url+"/api/v1"+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request) //nolint:forbidigo // a test against this process
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(raw))
	if out != nil {
		require.NoError(t, json.Unmarshal(raw, out))
	}
	return response.Header
}
