package broker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
)

// sink is a log for many writers.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sink) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}

// canaries are secrets by what they are, and every form in which they could be found.
type canaries map[string]string

// find returns what of the canaries is in text, by name.
func (c canaries) find(text []byte) []string {
	var found []string
	for name, secret := range c {
		for _, form := range []string{
			secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
			hex.EncodeToString([]byte(secret)),
		} {
			if bytes.Contains(text, []byte(form)) {
				found = append(found, name)
				break
			}
		}
	}
	return found
}

// manager is a client of the API that remembers everything that was answered, but for what it is told to forget.
type manager struct {
	t      *testing.T
	client *http.Client
	base   string
	token  string
}

func (m *manager) call(method, path string, body any, want int) []byte {
	m.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(m.t, err)
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.base+path, bytes.NewReader(raw))
	require.NoError(m.t, err)
	req.Header.Set("Authorization", "Bearer "+m.token)
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPost {
		req.Header.Set("Idempotency-Key", uuid.NewString())
	}
	resp, err := m.client.Do(req)
	require.NoError(m.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(m.t, err)
	require.Equal(m.t, want, resp.StatusCode, "%s %s: %s", method, path, text)
	return text
}

func identity(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// Secrets are planted in every place that takes one; then everything that Postrider has written, logged, counted and
// answered is searched for them.
func TestNoSecretGetsOut(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/fails" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer receiver.Close()
	conf := config.Default()
	conf.Kafka = kafka.Config{Brokers: kafkatest.Shared(t), Prefix: fmt.Sprintf("canary-%s.", uuid.NewString()[:8])}
	conf.Redis.Addresses = []string{redistest.Shared(t)}
	conf.API.Listen = "127.0.0.1:0"
	conf.Egress.AllowHTTP, conf.Egress.AnyPort = true, true
	conf.Egress.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	keyset, err := seal.Generate()
	require.NoError(t, err)
	conf.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	require.NoError(t, kafka.EnsureTopics(ctx, conf.Kafka, kafka.PlanOptions{Partitions: 2}))
	operator, token := access.NewKey("operator", access.RoleOperator, ident.ID{}, time.Now().UTC(), time.Time{})
	require.NoError(t, app.WithStore(ctx, &conf, app.StoreUse{}, func(ctx context.Context, s *registry.Store) error {
		_, err := s.Apply(ctx, audit.Actor{Kind: audit.ActorCommand}, registry.PutKey(operator))
		return err
	}))

	logged, metrics := new(sink), prometheus.NewRegistry()
	views, err := app.OpenViews(&conf, metrics)
	require.NoError(t, err)
	defer func() { require.NoError(t, views.Close()) }()
	a, err := app.New(ctx, &conf, app.Options{
		Log:     slog.New(slog.NewJSONHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Metrics: metrics, Presence: views, Views: views,
	})
	require.NoError(t, err)
	require.NoError(t, errors.Join(a.AddRouter(ctx), a.AddDeliverer(ctx), a.AddRetrier(), a.AddRecorder(ctx), a.AddAPI(ctx)))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	m := &manager{t: t, client: &http.Client{Timeout: 2 * time.Minute}, base: "http://" + a.APIAddr() + "/api/v1", token: token}

	planted := plant(t, m, receiver.URL)
	planted["operator token"] = token
	planted["encryption keyset"] = conf.Encryption.Keyset
	m.call(http.MethodPost, "/app/acme/msg", map[string]any{"eventType": "contact.updated", "payload": map[string]int{"n": 1}}, http.StatusAccepted)
	client, err := kafka.NewClient(conf.Kafka)
	require.NoError(t, err)
	defer client.Close()
	waitForOutcomes(t, conf.Kafka, 4) // one for each endpoint
	lists := readEverything(m, planted["API token"])
	cancel()
	require.NoError(t, <-done)

	require.Empty(t, planted.find(lists), "answers of the API")
	require.Empty(t, planted.find(logged.bytes()), "logs")
	require.Empty(t, planted.find(gathered(t, metrics)), "metrics")
	records, dumped := dumpTopics(t, conf.Kafka)
	require.Greater(t, records, 10)
	require.Empty(t, planted.find(dumped), "topics")
	require.Empty(t, planted.find(dumpRedis(t, conf.Redis.Addresses[0], conf.Kafka.Prefix)), "Redis")
	planted["what is there for sure"] = "contact.updated"
	require.Contains(t, planted.find(dumped), "what is there for sure", "the search itself")
}

// plant writes secrets in every place that takes one.
func plant(t *testing.T, m *manager, receiver string) canaries {
	t.Helper()
	secretOf := func() string {
		raw := make([]byte, 24)
		_, err := rand.Read(raw)
		require.NoError(t, err)
		return "whsec_" + base64.StdEncoding.EncodeToString(raw)
	}
	c := canaries{
		"signing secret": secretOf(), "rotated secret": secretOf(), "header value": "canary-header-" + uuid.NewString(),
		"password": "canary-password-" + uuid.NewString(), "bearer token": "canary-bearer-" + uuid.NewString(),
		"client secret": "canary-client-" + uuid.NewString(), "refresh token": "canary-refresh-" + uuid.NewString(),
		"oauth header": "canary-oauth-" + uuid.NewString(), "variable": "canary-variable-" + uuid.NewString(),
	}
	for _, scheme := range encrypt.Names() {
		key, err := encrypt.GenerateKey(scheme)
		require.NoError(t, err)
		c["key of "+scheme] = key
	}
	id := identity(t)
	_, block, _ := strings.Cut(id, "PRIVATE KEY-----\n")
	c["private key"], _, _ = strings.Cut(block, "\n")
	require.NotEmpty(t, c["private key"])
	m.call(http.MethodPost, "/app", map[string]any{"name": "Acme", "uid": "acme"}, http.StatusCreated)
	endpoint := func(uid, path string) string {
		m.call(http.MethodPost, "/app/acme/endpoint", map[string]any{
			"url": receiver + path, "uid": uid, "secret": c["signing secret"], "headers": map[string]string{"X-Api-Key": c["header value"]},
		}, http.StatusCreated)
		return "/app/acme/endpoint/" + uid
	}
	good, fails := endpoint("good", "/good"), endpoint("fails", "/fails")
	m.call(http.MethodPost, good+"/secret/rotate", map[string]any{"key": c["rotated secret"]}, http.StatusOK)
	m.call(http.MethodPut, good+"/authorization", map[string]any{"basic": map[string]string{"username": "u", "password": c["password"]}}, http.StatusOK)
	m.call(http.MethodPut, fails+"/authorization", map[string]any{"token": c["bearer token"]}, http.StatusOK)
	oauth := endpoint("oauth", "/fails")
	m.call(http.MethodPut, oauth+"/oauth", map[string]any{
		"grantType": "refreshToken", "authMethod": "clientSecretPost", "clientId": "id", "clientSecret": c["client secret"],
		"tokenUrl": receiver + "/fails", "refreshToken": c["refresh token"], "extraHeaders": map[string]string{"X-Extra": c["oauth header"]},
	}, http.StatusNoContent)
	m.call(http.MethodPut, oauth+"/mtls", map[string]any{"identity": id}, http.StatusNoContent)
	m.call(http.MethodPut, good+"/encryption", map[string]any{"scheme": "jwe", "key": c["key of jwe"]}, http.StatusOK)
	m.call(http.MethodPut, fails+"/encryption", map[string]any{"scheme": "voyado", "key": c["key of voyado"]}, http.StatusOK)
	for path, code := range map[string]string{
		good:                         `.headers["X-Variable"] = $variables.token`,
		endpoint("program", "/good"): `error($variables.token)`,
	} {
		m.call(http.MethodPatch, path+"/transformation", map[string]any{
			"code": code, "enabled": true, "variables": map[string]string{"token": c["variable"]},
		}, http.StatusNoContent)
	}
	var key, portal struct{ Token string }
	require.NoError(t, json.Unmarshal(m.call(http.MethodPost, "/key", map[string]any{"name": "k", "role": "read-only"}, http.StatusCreated), &key))
	require.NoError(t, json.Unmarshal(m.call(http.MethodPost, "/auth/app-portal-access/acme", map[string]any{}, http.StatusOK), &portal))
	c["API token"], c["portal token"] = key.Token, portal.Token
	return c
}

// readEverything returns the answers of all that can be listed or read and is not meant to show a secret. What an OAuth
// configuration sends besides may hold one, and is shown to whoever may read secrets, and variables are to whoever may write the
// program that has them: so they are read by who may not.
func readEverything(m *manager, reader string) []byte {
	var all bytes.Buffer
	seesLess := &manager{t: m.t, client: m.client, base: m.base, token: reader}
	for _, path := range []string{
		"/app/acme/endpoint/oauth/oauth", "/app/acme/endpoint/oauth/oauth-config", "/app/acme/endpoint/good/transformation",
	} {
		all.Write(seesLess.call(http.MethodGet, path, nil, http.StatusOK))
	}
	for _, path := range []string{
		"/app", "/app/acme", "/app/acme/endpoint", "/app/acme/endpoint/good", "/app/acme/endpoint/good/headers",
		"/app/acme/endpoint/oauth/mtls", "/app/acme/endpoint/good/authorization",
		"/app/acme/endpoint/good/encryption", "/app/acme/endpoint/fails/encryption",
		"/app/acme/endpoint/fails/authorization", "/app/acme/endpoint/good/delivery-policy", "/app/acme/msg", "/key",
		"/app/acme/key", "/audit", "/app/acme/audit",
	} {
		all.Write(m.call(http.MethodGet, path, nil, http.StatusOK))
	}
	return all.Bytes()
}

// waitForOutcomes waits until there are n records in the topic of outcomes.
func waitForOutcomes(t *testing.T, conf kafka.Config, n int) {
	t.Helper()
	client, err := kafka.NewClient(conf, kgo.ConsumeTopics(conf.Prefix+"outcomes"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for seen := 0; seen < n; {
		fetches := client.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "%d of %d outcomes", seen, n)
		seen += fetches.NumRecords()
	}
}

func gathered(t *testing.T, metrics *prometheus.Registry) []byte {
	t.Helper()
	families, err := metrics.Gather()
	require.NoError(t, err)
	var b bytes.Buffer
	for _, f := range families {
		_, err := expfmt.MetricFamilyToText(&b, f)
		require.NoError(t, err)
	}
	return b.Bytes()
}

// dumpTopics returns the keys, values and headers of all records of an installation, aborted ones included.
func dumpTopics(t *testing.T, conf kafka.Config) (records int, dump []byte) {
	t.Helper()
	client, err := kafka.NewClient(conf)
	require.NoError(t, err)
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context())
	require.NoError(t, err)
	var b bytes.Buffer
	reader := kafka.NewReader(conf)
	for topic, partitions := range ends {
		if !strings.HasPrefix(topic, conf.Prefix) {
			continue
		}
		for p := range partitions {
			_, err := reader.Range(t.Context(), topic, p, 0, func(r *kafka.Record) error {
				records++
				b.Write(r.Key)
				b.Write(r.Value)
				for _, h := range r.Headers {
					b.WriteString(h.Key)
					b.Write(h.Value)
				}
				return nil
			})
			require.NoError(t, err)
		}
	}
	return records, b.Bytes()
}

// dumpRedis returns everything that Redis has under a prefix.
func dumpRedis(t *testing.T, addr, prefix string) []byte {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	var b bytes.Buffer
	keys := client.Scan(t.Context(), 0, prefix+"*", 1000).Iterator()
	n := 0
	for keys.Next(t.Context()) {
		n++
		b.WriteString(keys.Val())
		kind, err := client.Type(t.Context(), keys.Val()).Result()
		require.NoError(t, err)
		var value any
		switch kind {
		case "string":
			value, err = client.Get(t.Context(), keys.Val()).Result()
		case "hash":
			value, err = client.HGetAll(t.Context(), keys.Val()).Result()
		case "zset":
			value, err = client.ZRange(t.Context(), keys.Val(), 0, -1).Result()
		case "set":
			value, err = client.SMembers(t.Context(), keys.Val()).Result()
		case "list":
			value, err = client.LRange(t.Context(), keys.Val(), 0, -1).Result()
		default:
			t.Fatalf("Redis has a %s, which this test does not read", kind)
		}
		if !errors.Is(err, redis.Nil) { // it expired meanwhile
			require.NoError(t, err)
		}
		fmt.Fprint(&b, value)
	}
	require.NoError(t, keys.Err())
	require.Positive(t, n)
	return b.Bytes()
}
