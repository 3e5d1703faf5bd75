package app_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/mailserver"
)

// installation is the configuration of one on an embedded broker and Redis, that may reach this machine.
func installation(t *testing.T) (*config.Config, *view.Redis) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	conf := config.Default()
	conf.Kafka.Brokers, conf.Redis.Addresses = cluster.ListenAddrs(), []string{miniredis.RunT(t).Addr()}
	conf.Egress.AllowHTTP, conf.Egress.AnyPort = true, true
	conf.Egress.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	keyset, err := seal.Generate()
	require.NoError(t, err)
	conf.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	require.NoError(t, kafka.EnsureTopics(t.Context(), conf.Kafka, kafka.PlanOptions{Partitions: 2}))
	views, err := app.OpenViews(&conf, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, views.Close()) })
	return &conf, views
}

// Whoever an alert was promised gets one: of a success rate that drops, by mail and in the chat, with a link into the portal. A
// second process tells what is new and not the first again.
func TestSuccessRateDropsIsTold(t *testing.T) {
	conf, views := installation(t)
	office := &mailserver.Server{}
	conf.Notices = config.Notices{SMTP: config.SMTP(office.Open(t, notify.TLSNone))}
	chats := make(chan string, 10)
	chat := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		chats <- string(raw)
	}))
	t.Cleanup(chat.Close)
	tenant := &subscription.Tenant{ID: ident.New(), UID: "acme", Name: "Acme", Notices: &subscription.Notices{
		Emails: []string{"ops@example.com"}, Chat: &subscription.Chat{Kind: subscription.ChatSlack, URL: chat.URL + "/hush"}, SuccessRate: 90,
	}}
	other := &subscription.Tenant{ID: ident.New(), UID: "other", Name: "Other", Notices: &subscription.Notices{
		Emails: []string{"other@example.com"}, SuccessRate: 90,
	}}
	orders := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID, Name: "orders", URL: "https://erp.example.com/x"}
	invoices := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID, Name: "invoices", URL: "https://erp.example.com/y"}
	require.NoError(t, app.WithStore(t.Context(), conf, app.StoreUse{}, func(ctx context.Context, s *registry.Store) error {
		_, err := s.Apply(ctx, audit.Actor{Kind: audit.ActorCommand}, registry.PutTenant(tenant), registry.PutTenant(other),
			registry.PutSubscription(orders), registry.PutSubscription(invoices))
		return err
	}))
	fail := func(partition int32, sub *subscription.Subscription) {
		var rows []view.Row
		for i := range int64(40) {
			row := view.Row{
				Subscription: sub.ID, Message: ident.New(), EventType: "order.placed", Offset: i, At: time.Now(),
				Result: outcome.ResultSuccess, Verdict: outcome.Delivered,
			}
			if i%4 == 0 {
				row.Result, row.Verdict = outcome.ResultServerError, outcome.Retry
			}
			rows = append(rows, row)
		}
		changed, err := views.Changed(t.Context(), &view.Seen{}, rows)
		require.NoError(t, err)
		require.NoError(t, views.AddRows(t.Context(), partition, rows))
		require.NoError(t, views.AddStatus(t.Context(), changed))
	}
	run := func(told int) {
		a, err := app.New(t.Context(), conf, app.Options{Views: views, Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		require.NoError(t, a.AddDisabler(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		require.Eventually(t, func() bool { return a.Ready() == nil && len(office.Mails()) == told }, time.Minute, 10*time.Millisecond)
		cancel()
		require.NoError(t, <-done)
	}
	fail(0, orders)
	run(1)
	got := office.Mails()[0]
	require.Equal(t, "ops@example.com", got.To)
	require.Contains(t, got.Data, "Subject: Webhooks of Acme: 1 new problem")
	require.Contains(t, got.Data, "10 of 40 attempts in the last hour failed: a success rate of 75 %")
	require.Contains(t, got.Data, "* orders")
	text := <-chats
	require.Contains(t, text, "http://localhost:8070/portal/app/"+tenant.ID.Base62(subscription.TenantPrefix)+"/endpoint/")
	require.NotContains(t, text, "hush")

	fail(1, invoices)
	run(2)
	again := office.Mails()[1]
	require.Equal(t, "ops@example.com", again.To)
	require.Contains(t, again.Data, "* invoices")
	require.NotContains(t, again.Data, "* orders")
	require.Contains(t, again.Data, "Still open from earlier notices: 1.")
	require.Contains(t, <-chats, "invoices")
	require.Empty(t, chats)
}
