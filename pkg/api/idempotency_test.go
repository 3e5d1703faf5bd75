package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/view"
)

const publishing = `{"eventType":"a.b","payload":{"secret":"plaintext-4711"}}`

// claims is what Redis does, in memory. What it keeps is to be looked at; away is what it answers then.
type claims struct {
	mu    sync.Mutex
	kept  map[string]*keptAnswer
	away  error
	begun int
}

type keptAnswer struct{ fingerprint, response string }

func (c *claims) Begin(_ context.Context, scope, key string, fingerprint []byte) (view.Claim, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return view.Claim{}, c.away
	}
	c.begun++
	name := scope + " " + key
	switch k := c.kept[name]; {
	case k == nil:
		c.kept[name] = &keptAnswer{fingerprint: string(fingerprint)}
		return view.Claim{State: view.ClaimNew, Response: []byte(name)}, nil // by which the claim is known again
	case k.fingerprint != string(fingerprint):
		return view.Claim{State: view.ClaimOther}, nil
	case k.response == "":
		return view.Claim{State: view.ClaimRunning}, nil
	default:
		return view.Claim{State: view.ClaimDone, Response: []byte(k.response)}, nil
	}
}

func (c *claims) Finish(_ context.Context, claim view.Claim, response []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept[string(claim.Response)].response = string(response)
	return c.away
}

func (c *claims) Abandon(_ context.Context, claim view.Claim) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, string(claim.Response))
	return c.away
}

// dump is everything that is kept.
func (c *claims) dump() (all string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.kept {
		all += k.response
	}
	return all
}

// repeating is a harness that keeps answers.
func repeating(t *testing.T, f *fakeEvents) (*harness, *claims) {
	t.Helper()
	c := &claims{kept: map[string]*keptAnswer{}}
	h := newHarness(t, withEvents(f), func(o *Options) { o.Idempotency = c })
	h.tenant("acme")
	return h, c
}

func TestRepeatGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	f := &fakeEvents{}
	h, server := repeating(t, f)
	first := h.call(h.operator, "POST", "/app/acme/msg", publishing, "idempotency-key", "k1")
	require.Equal(t, http.StatusAccepted, first.status, first.body)
	assert.Empty(t, first.header.Get("Idempotency-Replayed"))
	second := h.call(h.operator, "POST", "/app/acme/msg", publishing, "idempotency-key", "k1")
	assert.Equal(t, first.status, second.status)
	assert.Equal(t, first.body, second.body)
	assert.Equal(t, first.header.Get("Content-Type"), second.header.Get("Content-Type"))
	assert.Equal(t, "true", second.header.Get("Idempotency-Replayed"))
	assert.Equal(t, 1, f.count())
	assert.NotEmpty(t, f.published[0].IdempotencyKey)

	dump := server.dump()
	assert.Contains(t, dump, "sealed:")
	assert.NotContains(t, dump, "plaintext-4711")

	other := h.call(h.operator, "POST", "/app/acme/msg", `{"eventType":"a.b","payload":{}}`, "idempotency-key", "k1")
	assert.Equal(t, http.StatusConflict, other.status)
	assert.Equal(t, "idempotency_key_reused", other.json(t)["code"])

	apart := h.call(h.key(access.RoleOperator, [16]byte{}), "POST", "/app/acme/msg", publishing, "idempotency-key", "k1")
	assert.Equal(t, http.StatusAccepted, apart.status)
	assert.Empty(t, apart.header.Get("Idempotency-Replayed"), "another caller's key is another key")
	assert.Equal(t, 2, f.count())
	assert.NotEqual(t, f.published[0].IdempotencyKey, f.published[1].IdempotencyKey)
}

func TestTokensInKeptAnswersAreSealed(t *testing.T) {
	t.Parallel()
	h, server := repeating(t, &fakeEvents{})
	first := h.call(h.operator, "POST", "/key", `{"name":"k","role":"operator"}`, "idempotency-key", "k1")
	require.Equal(t, http.StatusCreated, first.status, first.body)
	token := first.json(t)["token"].(string)
	assert.NotContains(t, server.dump(), token)
	assert.Equal(t, token, h.call(h.operator, "POST", "/key", `{"name":"k","role":"operator"}`, "idempotency-key", "k1").json(t)["token"])
}

func TestOneOfManyIsCarriedOut(t *testing.T) {
	t.Parallel()
	f := &fakeEvents{hold: make(chan struct{})}
	h, _ := repeating(t, f)
	const many = 8
	answers := make(chan reply, many)
	var running sync.WaitGroup
	for range many {
		running.Go(func() { answers <- h.call(h.operator, "POST", "/app/acme/msg", publishing, "idempotency-key", "k1") })
	}
	for range many - 1 { // all but the one that is held
		got := <-answers
		assert.Equal(t, http.StatusConflict, got.status, got.body)
		assert.Equal(t, "idempotency_in_progress", got.json(t)["code"])
		assert.NotEmpty(t, got.header.Get("Retry-After"))
	}
	close(f.hold)
	running.Wait()
	assert.Equal(t, http.StatusAccepted, (<-answers).status)
	assert.Equal(t, 1, f.count())
}

func TestFailuresAreNotKept(t *testing.T) {
	t.Parallel()
	f := &fakeEvents{refusal: errors.New("Kafka is away")}
	h, _ := repeating(t, f)
	assert.Equal(t, http.StatusInternalServerError, h.call(h.operator, "POST", "/app/acme/msg", publishing, "idempotency-key", "k1").status)
	f.refusal = nil
	again := h.call(h.operator, "POST", "/app/acme/msg", publishing, "idempotency-key", "k1")
	assert.Equal(t, http.StatusAccepted, again.status, again.body)

	refused := h.call(h.operator, "POST", "/app/acme/msg", `{}`, "idempotency-key", "k2")
	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
	assert.Equal(t, "true", h.call(h.operator, "POST", "/app/acme/msg", `{}`, "idempotency-key", "k2").header.Get("Idempotency-Replayed"))
}

func TestWithoutRedisRequestsGoOn(t *testing.T) {
	t.Parallel()
	f := &fakeEvents{}
	h, server := repeating(t, f)
	server.away = errors.New("away")
	for n := 1; n <= 2; n++ {
		got := h.call(h.operator, "POST", "/app/acme/msg", publishing, "idempotency-key", "k1")
		assert.Equal(t, http.StatusAccepted, got.status, got.body)
		assert.Equal(t, "unchecked", got.header.Get("Postrider-Idempotency"))
		assert.Equal(t, n, f.count())
	}
	assert.Equal(t, f.published[0].IdempotencyKey, f.published[1].IdempotencyKey, "so that it is one event all the same")
	assert.Equal(t, 1, strings.Count(h.log.String(), "Redis is away"))
}

func TestWhatIsNotRecorded(t *testing.T) {
	t.Parallel()
	h, c := repeating(t, &fakeEvents{})
	h.call("", "POST", "/app", `{"name":"a"}`, "idempotency-key", "k1")
	h.call("prk_wrong", "POST", "/app", `{"name":"a"}`, "idempotency-key", "k1")
	h.call(h.operator, "GET", "/app", nil, "idempotency-key", "k1")
	h.call(h.operator, "POST", "/app", `{"name":"a"}`)
	for _, bad := range []string{"a b", "é", strings.Repeat("k", 257)} {
		assert.Equal(t, http.StatusBadRequest, h.call(h.operator, "POST", "/app", `{"name":"a"}`, "idempotency-key", bad).status)
	}
	assert.Equal(t, http.StatusRequestEntityTooLarge,
		h.call(h.operator, "POST", "/app", strings.Repeat(" ", maxImportBody+1), "idempotency-key", "k1").status)
	assert.Zero(t, c.begun)
	for i, path := range []string{"/app", "/key"} {
		h.call(h.operator, "POST", path, `{}`, "idempotency-key", "k1")
		assert.Equal(t, i+1, c.begun)
	}
	assert.Len(t, c.kept, 2, "another operation, another key")
}

func TestDecodeCapturedRefuses(t *testing.T) {
	t.Parallel()
	for i, text := range []string{"", "{}", "{}\n", `{"status":500}` + "\nx", "x\ny"} {
		_, ok := decodeCaptured(text)
		assert.False(t, ok, fmt.Sprint(i))
	}
}
