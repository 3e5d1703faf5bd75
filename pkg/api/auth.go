package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
)

// identity is who makes a request, once it is known.
type identity struct {
	principal *access.Principal
	actor     audit.Actor
}

type identityKey struct{}

func identified(ctx context.Context) *identity {
	who, _ := ctx.Value(identityKey{}).(*identity)
	return who
}

// authenticate finds out who makes a request. A request without a valid key or token goes on without: which operations
// are public is decided where they are known.
func (a *API) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := a.principal(r)
		if p == nil {
			next.ServeHTTP(w, r)
			return
		}
		kind := audit.ActorKey
		if p.Kind == access.KindPortal {
			kind = audit.ActorPortal
		}
		who := &identity{principal: p, actor: audit.Actor{
			Kind: kind, ID: p.ID.Base62(access.KeyIDPrefix), Name: p.Name, Address: a.address(r), Request: requestID(r.Context()),
		}}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, who)))
	})
}

// principal returns whose key or token the request carries, or nil. The scheme is compared without case (RFC 9110,
// section 11.1).
func (a *API) principal(r *http.Request) *access.Principal {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return nil
	}
	token = strings.TrimSpace(token)
	now := a.opts.Now()
	snap := a.opts.Store.Snapshot()
	if strings.HasPrefix(token, access.PortalPrefix) {
		return a.portalPrincipal(snap, token, now)
	}
	key, ok := snap.KeyByHash(access.HashToken(token))
	if !ok || key.Expired(now) {
		return nil
	}
	return key.Principal()
}
