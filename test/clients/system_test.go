package clients

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
)

func TestMain(m *testing.M) { os.Exit(kafkatest.Main(withRedis{m})) }

// withRedis runs the tests and then ends the Redis that they shared.
type withRedis struct{ m *testing.M }

// Run runs the tests.
func (w withRedis) Run() int { return redistest.Main(w.m) }

// system is a whole installation in this process, and a key for everything.
type system struct {
	url, token string
}

// start starts every role on the shared Kafka and Redis.
func start(t *testing.T) *system {
	t.Helper()
	c := configure(t)
	require.NoError(t, kafka.EnsureTopics(t.Context(), c.Kafka, kafka.PlanOptions{Partitions: 4}))
	s := &system{token: operator(t, c)}
	views, err := app.OpenViews(c, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.New(ctx, c, app.Options{Presence: views, Views: views})
	require.NoError(t, err)
	require.NoError(t, errors.Join(a.AddRouter(ctx), a.AddDeliverer(ctx), a.AddRetrier(), a.AddRecorder(ctx), a.AddAPI(ctx)))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		require.NoError(t, errors.Join(<-done, views.Close()))
	}))
	s.url = "http://" + a.APIAddr()
	await(t, a)
	return s
}

// await waits until every role is in its group.
func await(t *testing.T, a *app.App) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	for {
		err := a.Ready()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-limit.C:
			require.NoError(t, err)
		}
	}
}

func configure(t *testing.T) *config.Config {
	t.Helper()
	c := config.Default()
	c.Kafka = kafka.Config{Brokers: kafkatest.Shared(t), Prefix: fmt.Sprintf("clients-%s.", uuid.NewString()[:8])}
	c.Redis.Addresses = []string{redistest.Shared(t)}
	c.Redis.CallTimeout = time.Minute // after which an event id that was published before is not noticed
	c.Egress.AllowHTTP, c.Egress.AnyPort = true, true
	c.Egress.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c.API.Listen = "127.0.0.1:0"
	keyset, err := seal.Generate()
	require.NoError(t, err)
	c.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	return &c
}

// operator makes a key for everything and returns its token.
func operator(t *testing.T, c *config.Config) string {
	t.Helper()
	key, token := access.NewKey("clients", access.RoleOperator, ident.ID{}, time.Now().UTC(), time.Time{})
	require.NoError(t, app.WithStore(t.Context(), c, app.StoreUse{}, func(ctx context.Context, store *registry.Store) error {
		_, err := store.Apply(ctx, audit.Actor{Kind: audit.ActorSystem, Name: "test"}, registry.PutKey(key))
		return err
	}))
	return token
}

func (s *system) serverURL(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(s.url)
	require.NoError(t, err)
	return u
}
