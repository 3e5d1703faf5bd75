package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// AppPortalAccessIn asks for a portal token.
type AppPortalAccessIn struct {
	Application  *ApplicationIn `json:"application,omitempty" doc:"Made first if there is no such app."`
	ReadOnly     *bool          `json:"readOnly,omitempty" nullable:"true" deprecated:"true" doc:"Older form of capabilities [ViewBase]."`
	Capabilities *[]string      `json:"capabilities,omitempty" nullable:"true" uniqueItems:"true" enum:"ViewBase,ViewEndpointSecret,ManageEndpointSecret,ManageTransformations,CreateAttempts,ManageEndpoint" doc:"All if left out."`
	FeatureFlags *[]string      `json:"featureFlags,omitempty" nullable:"true" maxItems:"25" doc:"Accepted and without effect."`
	Expiry       *int64         `json:"expiry,omitempty" nullable:"true" minimum:"3600" maximum:"604800" doc:"Seconds; seven days if left out."`
	SessionID    *string        `json:"sessionId,omitempty" nullable:"true" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9@_-]+$"`
}

// AppPortalAccessOut is a portal token and the link that opens the portal with it.
type AppPortalAccessOut struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// ExpireAllIn says which portal tokens end, and when.
type ExpireAllIn struct {
	Expiry     *int64    `json:"expiry,omitempty" nullable:"true" minimum:"0" maximum:"259200" doc:"Seconds from now; at once if left out."`
	SessionIDs *[]string `json:"sessionIds,omitempty" nullable:"true" maxItems:"1000" doc:"Only these sessions."`
}

// WhoamiOut says who the caller is.
type WhoamiOut struct {
	AppID            *string `json:"appId,omitempty"`
	PermissionSource string  `json:"permissionSource" enum:"organization,app-portal"`
	SessionID        *string `json:"sessionId,omitempty"`
}

func (a *API) portal() {
	const tag = "Authentication"
	registerBody(a, route{
		method: http.MethodPost, path: "/auth/app-portal-access/{app_id}", id: "v1.authentication.app-portal-access", tag: tag,
		needs: access.GrantPortal, summary: "Make a portal token", makesApp: true,
		doc: "It is good for one app, until it expires or is ended, and for no more than its capabilities say.",
	}, a.grantPortal)
	registerBody(a, route{
		method: http.MethodPost, path: "/auth/app/{app_id}/expire-all", id: "v1.authentication.expire-all", tag: tag,
		needs: access.GrantPortal, summary: "End an application's portal tokens", status: http.StatusNoContent,
	}, a.expirePortal)
	register(a, route{
		method: http.MethodPost, path: "/auth/logout", id: "v1.authentication.logout", tag: tag, needs: access.ViewCatalogue,
		summary: "End the portal token of this request", status: http.StatusNoContent,
	}, a.logout)
	register(a, route{
		method: http.MethodGet, path: "/auth/whoami", id: "v1.authentication.whoami", tag: tag, needs: access.ViewCatalogue,
		summary: "Say who makes this request",
	}, a.whoami)
}

func (a *API) grantPortal(ctx context.Context, in *AppBody, body *AppPortalAccessIn) (*answer[AppPortalAccessOut], error) {
	t, err := a.portalTenant(ctx, in.App, body.Application)
	if err != nil {
		return nil, err
	}
	now := a.opts.Now().UTC()
	expiry := access.DefaultPortalExpiry
	if body.Expiry != nil {
		expiry = time.Duration(*body.Expiry) * time.Second
	}
	claims := &access.PortalClaims{
		ID: ident.New(), Tenant: t.ID, Session: value(body.SessionID), Issued: now, Expires: now.Add(expiry),
		Capabilities: body.capabilities(),
	}
	text, err := claims.Encode()
	if err != nil {
		return nil, err
	}
	sealed, err := a.opts.Cipher.Seal(text, access.PortalAssociated)
	if err != nil {
		return nil, err
	}
	token := access.PortalPrefix + strings.TrimPrefix(sealed, sealedPrefix)
	// In the fragment, which browsers do not send: it is in no server's log.
	link := strings.TrimSuffix(a.opts.PortalURL, "/") + "/#token=" + url.QueryEscape(token)
	return &answer[AppPortalAccessOut]{Body: AppPortalAccessOut{URL: link, Token: token}}, nil
}

func (in *AppPortalAccessIn) capabilities() []access.Capability {
	switch {
	case value(in.ReadOnly):
		return []access.Capability{access.ViewBase}
	case in.Capabilities == nil:
		return access.Capabilities()
	}
	out := make([]access.Capability, 0, len(*in.Capabilities))
	for _, c := range *in.Capabilities {
		out = append(out, access.Capability(c))
	}
	return out
}

// portalTenant returns the app of the path, made first if the request brings it.
func (a *API) portalTenant(ctx context.Context, name string, in *ApplicationIn) (*subscription.Tenant, error) {
	if t := called(ctx).tenant; t != nil {
		return t, nil
	}
	if in == nil {
		return nil, notFound("app")
	}
	if in.UID == nil {
		in.UID = &name
	}
	if *in.UID != name {
		return nil, invalid("application.uid", "want %q, as in the path", name)
	}
	t := &subscription.Tenant{ID: ident.New()}
	if err := in.apply(t); err != nil {
		return nil, err
	}
	if err := fieldErrors(subscription.ValidateTenant(t, a.opts.Rules), nil); err != nil {
		return nil, err
	}
	if _, err := a.apply(ctx, registry.PutTenant(t), WaitInput{}, false); err != nil {
		return nil, err
	}
	return t, nil
}

func (a *API) expirePortal(ctx context.Context, _ *AppBody, body *ExpireAllIn) (*answer[nothing], error) {
	now := a.opts.Now().UTC()
	at := now.Add(time.Duration(value(body.Expiry)) * time.Second)
	return a.changePortal(ctx, func(p subscription.PortalAccess) subscription.PortalAccess {
		if body.SessionIDs == nil {
			return subscription.PortalAccess{NotBefore: now, NotBeforeFrom: at}
		}
		for _, session := range *body.SessionIDs {
			p = access.Revoke(p, access.SessionPrefix+session, now.Add(access.MaxPortalExpiry), now)
		}
		return p
	})
}

// logout ends a portal token. A key ends by being deleted, so that for one it does nothing.
func (a *API) logout(ctx context.Context, _ *struct{}) (*answer[nothing], error) {
	who := called(ctx).principal
	if who.Kind != access.KindPortal {
		return &answer[nothing]{}, nil
	}
	now := a.opts.Now().UTC()
	called(ctx).tenant, _ = called(ctx).snap.Tenant(who.Tenant)
	return a.changePortal(ctx, func(p subscription.PortalAccess) subscription.PortalAccess {
		return access.Revoke(p, who.ID.UUID(), now.Add(access.MaxPortalExpiry), now)
	})
}

func (a *API) changePortal(ctx context.Context, change func(subscription.PortalAccess) subscription.PortalAccess) (*answer[nothing], error) {
	out := &answer[nothing]{}
	err := a.again(ctx, false, func(snap *registry.Snapshot) error {
		old, ok := snap.Tenant(called(ctx).tenant.ID)
		if !ok {
			return notFound("app")
		}
		t := *old
		t.Portal = change(t.Portal)
		_, err := a.apply(ctx, registry.PutTenant(&t), WaitInput{}, false)
		return err
	})
	return out, err
}

func (a *API) whoami(ctx context.Context, _ *struct{}) (*answer[WhoamiOut], error) {
	who := called(ctx).principal
	out := WhoamiOut{PermissionSource: "organization", SessionID: nil}
	if who.Kind == access.KindPortal {
		out.PermissionSource, out.SessionID = "app-portal", optional(who.Name)
	}
	if !who.General() {
		app := who.Tenant.Base62(subscription.TenantPrefix)
		out.AppID = &app
	}
	return &answer[WhoamiOut]{Body: out}, nil
}

// portalPrincipal returns who shows a portal token, or nil.
func (a *API) portalPrincipal(snap *registry.Snapshot, token string, now time.Time) *access.Principal {
	text, err := a.opts.Cipher.Open(sealedPrefix+strings.TrimPrefix(token, access.PortalPrefix), access.PortalAssociated)
	if err != nil {
		return nil
	}
	claims, err := access.ParsePortal(text)
	if err != nil {
		return nil
	}
	t, ok := snap.Tenant(claims.Tenant)
	if !ok || claims.Check(t, now) != nil {
		return nil
	}
	return claims.Principal()
}

// sealedPrefix begins what a [Cipher] sealed; a portal token has its own in place of it.
const sealedPrefix = "sealed:"
