package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
)

// Figures of the registry check.
const (
	registrySubscriptions = 100_000
	registryTenants       = 100 // of each step of registrySubscriptions
	registryUpdates       = 200
	registryLoad          = 1000        // events a second, meanwhile
	registryVisible       = time.Second // at p99
)

// bigRegistry: 100,000 subscriptions, or as many as --subscriptions says. How long a router takes to start on them, what one costs in memory, and how soon an
// update through the API is with the router while it routes.
func bigRegistry(ctx context.Context, in *installation) error {
	step := in.scale(registrySubscriptions)
	n := in.subscriptions / registrySubscriptions * step
	all := in.tenants(registryTenants*n/step, step/registryTenants, rig.Subscription{Types: []string{"never.sent"}})
	listening := in.tenants(1, 1, rig.Subscription{})[0]
	listening.UID = "listening"
	begin := time.Now()
	for some := range slices.Chunk(append(slices.Clip(all), listening), registryTenants) { // what a file may hold is bounded
		if err := in.Apply(ctx, some); err != nil {
			return err
		}
	}
	in.tell("apply of "+strconv.Itoa(n)+" subscriptions", "%.1f s", time.Since(begin).Seconds())
	empty, err := in.emptyRSS(ctx)
	if err != nil {
		return err
	}
	begin = time.Now()
	router, err := in.Start(ctx, "router")
	if err != nil {
		return err
	}
	if err := router.Ready(ctx); err != nil {
		return err
	}
	in.tell("cold start of a router to ready", "%.2f s", time.Since(begin).Seconds())
	rss, err := router.Metric(ctx, "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	in.tell("memory of the router", "%.0f MiB, %.0f bytes a subscription", rss/(1<<20), (rss-empty)/float64(n))
	return in.visibility(ctx, router, all, listening)
}

// emptyRSS is the memory of a process of the product that has no registry to speak of: the retrier.
func (in *installation) emptyRSS(ctx context.Context) (float64, error) {
	all, err := in.StartReady(ctx, "retry")
	if err != nil {
		return 0, err
	}
	return all[0].Metric(ctx, "process_resident_memory_bytes")
}

// visibility makes updates through the API while events are routed.
func (in *installation) visibility(ctx context.Context, router *rig.Process, all []rig.Tenant, listening rig.Tenant) error {
	token, err := in.key(ctx)
	if err != nil {
		return err
	}
	api, err := in.startAPI(ctx)
	if err != nil {
		return err
	}
	end := in.steady(ctx, registryLoad, []rig.Tenant{listening})
	var took []time.Duration
	for i := range in.scale(registryUpdates) {
		t := all[i%len(all)]
		path := "/app/" + t.UID + "/endpoint/" + t.Subscriptions[i/len(all)].ID
		d, err := in.visible(ctx, api, router, token, path, i)
		if err != nil {
			return errors.Join(err, end())
		}
		took = append(took, d)
	}
	if err := end(); err != nil {
		return err
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	in.want(p99 <= registryVisible, "an update is with the router, p99", "≤ 1s", "%s (p50 %s, max %s) of %d", p99, took[len(took)/2], took[len(took)-1], len(took))
	events, err := router.Metric(ctx, "postrider_router_events_total")
	if err != nil {
		return err
	}
	in.tell("events routed meanwhile", "%.0f", events)
	return nil
}

// visible makes one update and returns how long after its acknowledgement the router has it; 0 if before.
func (in *installation) visible(ctx context.Context, api *apiProcess, router *rig.Process, token, path string, i int) (time.Duration, error) {
	got, err := api.call(ctx, token, http.MethodPatch, path, map[string]any{"description": "update " + strconv.Itoa(i)}, "")
	if err != nil {
		return 0, err
	}
	if got.status != http.StatusOK {
		return 0, fmt.Errorf("updating %s: %d %s", path, got.status, got.body)
	}
	version, err := strconv.ParseFloat(strings.Trim(got.etag, `"`), 64)
	if err != nil {
		return 0, fmt.Errorf("reading ETag %q: %w", got.etag, err)
	}
	begin := time.Now()
	err = rig.Await(ctx, 30*time.Second, func() (bool, error) {
		at, err := router.Metric(ctx, "postrider_registry_version")
		return at >= version, err
	})
	return time.Since(begin), err
}
