package api

import (
	"context"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// LockOut says whether only an operator may enable an endpoint.
type LockOut struct {
	Locked bool `json:"locked" doc:"It is disabled, and only an operator enables it again."`
}

func (a *API) endpointLocks() {
	const resource = "/lock"
	register(a, below(http.MethodGet, resource, "postrider.endpoint.get-lock", "Say whether an endpoint is locked", access.ViewTenant, ""),
		func(ctx context.Context, in *EndpointPath) (*answer[LockOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (LockOut, error) { return LockOut{e.sub.Locked}, nil })
		})
	register(a, below(http.MethodPut, resource, "postrider.endpoint.lock", "Disable and lock an endpoint", access.Operate,
		"Only an operator enables it again.").quietly(), func(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
		return a.set(ctx, in.Endpoint, in.WriteInput, nil, func(s *subscription.Subscription) { s.Disabled, s.Locked = true, true })
	})
	register(a, below(http.MethodDelete, resource, "postrider.endpoint.unlock", "Unlock an endpoint", access.Operate,
		"It stays disabled until its owner, or an operator, enables it.").quietly(),
		func(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
			return a.set(ctx, in.Endpoint, in.WriteInput, nil, func(s *subscription.Subscription) { s.Locked = false })
		})
}
