package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// AddAPI adds the role that serves the management API and the portal:
//
//	HTTP ──▶ api ──▶ registry.Store ──▶ registry, audit, operational   (one transaction)
//	  │       ├──▶ Publisher ──▶ events, deliveries; Redis index
//	  │       ├──▶ tasks ──▶ deliveries                           (see AddTasks)
//	  │       ├──▶ Letters ──▶ deliveries, source topics; marks in deadletters and rejected; audit
//	  │       └◀── audit log, events, outcomes, deadletters, rejected, Redis: index and views
//	  └──▶ portal ──▶ api
//	canary ──▶ Publisher ──▶ … deliverer ──HTTP──▶ canary
//	operational ──▶ group "disabler" ──▶ registry.Store; beside it notices ──▶ SMTP, chats
func (a *App) AddAPI(ctx context.Context) error {
	store, err := a.Store(ctx)
	if err != nil {
		return err
	}
	publishing, err := a.Publishing()
	if err != nil {
		return err
	}
	egressTransport, err := egress.New(EgressConfig(a.conf))
	if err != nil {
		return err
	}
	letters, err := a.Letters(ctx)
	if err != nil {
		return err
	}
	opts, err := a.apiOptions(store, publishing, egressTransport)
	if err != nil {
		return err
	}
	if opts.Tasks, err = a.AddTasks(ctx, letters); err != nil {
		return err
	}
	opts.DeadLetters, opts.Rejected = letters.Dead, letters.Rejected
	opts.History, opts.AuditWriter = letters.History, letters.Audit
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.conf.API.Listen)
	if err != nil {
		return fmt.Errorf("api.listen: %w", err)
	}
	a.apiAddr = listener.Addr().String()
	served := api.New(opts)
	handler, err := a.withPortal(served.Handler(), opts.Cipher)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	canary := a.newCanary(store, publishing, letters)
	answering := semaphore.NewWeighted(math.MaxInt64)
	server := api.Server(counted(answering, withCanary(canary, handler)))
	server.RegisterOnShutdown(served.EndStreams)
	a.roles = append(a.roles, &Role{Name: "api", run: func(ctx context.Context) error {
		reading, stop := context.WithCancel(ctx)
		var following errgroup.Group
		following.Go(func() error { return letters.Run(reading) })
		if canary != nil {
			following.Go(func() error { canary.Run(reading); return nil })
		}
		err := serve(ctx, server, listener)
		stop()
		last, done := context.WithTimeout(context.WithoutCancel(ctx), lastWords) // ctx has ended
		defer done()
		_ = answering.Acquire(last, math.MaxInt64)
		return errors.Join(err, following.Wait(), letters.Close(context.WithoutCancel(ctx)), flushed(ctx, publishing.Close))
	}})
	return a.AddDisabler(ctx)
}

// APIAddr is where the API listens, once it was added.
func (a *App) APIAddr() string { return a.apiAddr }

func (a *App) apiOptions(store *registry.Store, p *Publishing, transport *egress.Transport) (api.Options, error) {
	profiles, err := Profiles(a.conf)
	if err != nil {
		return api.Options{}, err
	}
	rules, err := Rules(a.conf, profiles)
	if err != nil {
		return api.Options{}, err
	}
	keyset, err := NeedKeyset(a.conf)
	if err != nil {
		return api.Options{}, err
	}
	sender, err := a.noticeSender()
	if err != nil {
		return api.Options{}, err
	}
	c := a.conf.API
	return api.Options{
		Notices: sender, NoticeMemory: a.opts.Views, NoticePortal: NoticePortal(a.conf),
		Store: store, Presence: appliedWaiter{a.opts.Views}, Cipher: keyset, Profiles: profiles, Rules: rules,
		Publisher: p.Publisher, Events: a.opts.Views, EventReader: p.Reader, Idempotency: a.opts.Views,
		Attempts: a.opts.Views, Outcomes: p.Outcomes, EndpointViews: a.opts.Views, Breakers: a.opts.Views,
		Cluster: cluster{a.conf.Kafka, a.conf.Kafka.Prefix, a.opts.Views}, System: a.opts.Views,
		Sender: p.Publisher, Resender: p.Resender, Prober: transport,
		ValidatePayloads: c.ValidatePayloads,
		Audit: &auditLog{
			conf: a.conf.Kafka, topic: a.topics.Name(topics.Audit), reader: kafka.NewReader(a.conf.Kafka), log: a.opts.Log,
		},
		SourceIPs: c.SourceIPs, PortalURL: c.PortalURL, RequestsPerSecond: float64(c.RequestsPerSecond), Burst: c.Burst,
		TrustedProxies: c.TrustedProxies, Log: a.opts.Log, Metrics: a.opts.Metrics,
	}, nil
}

// lastWords is how long a request that was cut off may take to write down what it did.
const lastWords = 3 * time.Second

// counted counts the requests that are being answered: a server that was closed does not wait for those that it cut off.
func counted(answering *semaphore.Weighted, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answering.TryAcquire(1) { // else the end has come
			defer answering.Release(1)
		}
		next.ServeHTTP(w, r)
	})
}

// shutdownTimeout bounds the wait for requests that are being answered; a write takes a second at the most.
const shutdownTimeout = 10 * time.Second

// serve serves until ctx ends, and then answers what has come.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving the API: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout) // ctx has ended
	defer cancel()
	err := server.Shutdown(stopping)
	if err != nil {
		_ = server.Close() // whoever still waits is cut off
	}
	if serveErr := <-ended; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// appliedWaiter counts the live roles that have a version.
type appliedWaiter struct{ views *view.Redis }

// WaitApplied implements [api.Presence].
func (w appliedWaiter) WaitApplied(ctx context.Context, version int64) (int, error) {
	members, err := w.views.WaitApplied(ctx, version)
	return len(members), err
}
