package api

import (
	"context"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// KeyIn is an API key as it is made.
type KeyIn struct {
	Name      string  `json:"name" minLength:"1" maxLength:"256"`
	Role      string  `json:"role" enum:"operator,tenant,read-only"`
	AppID     *string `json:"appId,omitempty" nullable:"true" maxLength:"256" doc:"The only app it is good for, by id or uid. Role tenant needs one, operator has none."`
	ExpiresAt *string `json:"expiresAt,omitempty" nullable:"true" format:"date-time" doc:"When it stops to be good; never if left out."`
}

// TenantKeyIn is a key of one app as it is made.
type TenantKeyIn struct {
	Name      string  `json:"name" minLength:"1" maxLength:"256"`
	Role      string  `json:"role" enum:"tenant,read-only"`
	ExpiresAt *string `json:"expiresAt,omitempty" nullable:"true" format:"date-time"`
}

// KeyOut is an API key without its token.
type KeyOut struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	AppID     *string    `json:"appId,omitempty"`
	Hint      string     `json:"hint" doc:"The last characters of the token."`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// KeyCreatedOut is a new API key with its token, which is shown this once.
type KeyCreatedOut struct {
	KeyOut
	Token string `json:"token"`
}

// KeyPath is in the path of a key.
type KeyPath struct {
	Key string `path:"key_id" minLength:"31" maxLength:"31" pattern:"^key_[A-Za-z0-9]{27}$"`
}

type (
	// KeyDelete deletes a key.
	KeyDelete struct {
		KeyPath
		WaitInput
	}
	// AppKeyDelete deletes a key of a tenant.
	AppKeyDelete struct {
		AppPath
		KeyDelete
	}
)

func (a *API) keys() {
	const tag = "API keys"
	register(a, route{
		method: http.MethodGet, path: "/key", id: "postrider.key.list", tag: tag, needs: access.ViewAll, summary: "List all keys",
	}, func(ctx context.Context, in *ListInput) (*answer[List[KeyOut]], error) {
		return a.listKeys(ctx, in.PageInput, in.descending(), ident.ID{})
	})
	registerBody(a, route{
		method: http.MethodPost, path: "/key", id: "postrider.key.create", tag: tag, needs: access.Operate,
		summary: "Create a key", doc: "The token is in this answer and nowhere else.", status: http.StatusCreated,
	}, a.createKey)
	register(a, route{
		method: http.MethodDelete, path: "/key/{key_id}", id: "postrider.key.delete", tag: tag, needs: access.Operate,
		summary: "Delete a key", doc: "It is refused from then on.", status: http.StatusNoContent,
	}, func(ctx context.Context, in *KeyDelete) (*answer[nothing], error) {
		return a.deleteKey(ctx, in.Key, in.WaitInput, ident.ID{})
	})
	a.tenantKeys(tag)
}

// tenantKeys are the keys of one tenant, which its administrator manages.
func (a *API) tenantKeys(tag string) {
	register(a, route{
		method: http.MethodGet, path: "/app/{app_id}/key", id: "postrider.app-key.list", tag: tag, needs: access.ManageTenantKeys,
		summary: "List an application's keys",
	}, func(ctx context.Context, in *AppList) (*answer[List[KeyOut]], error) {
		return a.listKeys(ctx, in.PageInput, in.descending(), called(ctx).tenant.ID)
	})
	registerBody(a, route{
		method: http.MethodPost, path: "/app/{app_id}/key", id: "postrider.app-key.create", tag: tag, needs: access.ManageTenantKeys,
		summary: "Create a key of an application", status: http.StatusCreated,
	}, func(ctx context.Context, in *AppCreateBody, body *TenantKeyIn) (*answer[KeyCreatedOut], error) {
		return a.makeKey(ctx, body.Name, body.Role, called(ctx).tenant.ID, body.ExpiresAt, in.WaitInput)
	})
	register(a, route{
		method: http.MethodDelete, path: "/app/{app_id}/key/{key_id}", id: "postrider.app-key.delete", tag: tag,
		needs: access.ManageTenantKeys, summary: "Delete a key of an application", status: http.StatusNoContent,
	}, func(ctx context.Context, in *AppKeyDelete) (*answer[nothing], error) {
		return a.deleteKey(ctx, in.Key, in.WaitInput, called(ctx).tenant.ID)
	})
}

// listKeys lists the keys of a tenant, or all.
func (a *API) listKeys(ctx context.Context, in PageInput, descending bool, tenant ident.ID) (*answer[List[KeyOut]], error) {
	snap := called(ctx).snap
	return answerList(paginate(in, descending, byID(access.KeyIDPrefix, snap.KeysFrom, snap.KeysBefore, func(k *access.Key) ident.ID { return k.ID }),
		func(k *access.Key) bool { return tenant.IsZero() || k.Tenant == tenant },
		func(k *access.Key) string { return k.ID.Base62(access.KeyIDPrefix) }, keyOut))
}

func (a *API) createKey(ctx context.Context, in *CreateBody, body *KeyIn) (*answer[KeyCreatedOut], error) {
	var tenant ident.ID
	if name := value(body.AppID); name != "" {
		t, ok := called(ctx).snap.ResolveTenant(name)
		if !ok {
			return nil, invalid("appId", "%q: there is no such app", name)
		}
		tenant = t.ID
	}
	return a.makeKey(ctx, body.Name, body.Role, tenant, body.ExpiresAt, in.WaitInput)
}

func (a *API) makeKey(
	ctx context.Context, name, role string, tenant ident.ID, expires *string, wait WaitInput,
) (*answer[KeyCreatedOut], error) {
	now := a.opts.Now().UTC().Truncate(time.Millisecond)
	var until time.Time
	if expires != nil {
		var err error
		if until, err = time.Parse(time.RFC3339, *expires); err != nil || !until.After(now) {
			return nil, invalid("expiresAt", "want an RFC 3339 instant in the future")
		}
	}
	key, token := access.NewKey(name, access.Role(role), tenant, now, until.UTC())
	if err := fieldErrors(key.Validate(), map[string]string{"tenant": "appId"}); err != nil {
		return nil, err
	}
	applied, err := a.apply(ctx, registry.PutKey(key), wait, false)
	if err != nil {
		return nil, err
	}
	return &answer[KeyCreatedOut]{Applied: applied, Body: KeyCreatedOut{KeyOut: keyOut(key), Token: token}}, nil
}

// deleteKey deletes a key of a tenant, or any.
func (a *API) deleteKey(ctx context.Context, name string, wait WaitInput, tenant ident.ID) (*answer[nothing], error) {
	id, err := ident.ParseBase62(access.KeyIDPrefix, name)
	if err != nil {
		return nil, notFound("key")
	}
	key, ok := called(ctx).snap.Key(id)
	if !ok || !tenant.IsZero() && key.Tenant != tenant {
		return nil, notFound("key")
	}
	return a.remove(ctx, registry.Delete(registry.Key{Kind: registry.KindKey, ID: id}, key.Version).Anyway(), wait, false)
}

func keyOut(k *access.Key) KeyOut {
	out := KeyOut{
		ID: k.ID.Base62(access.KeyIDPrefix), Name: k.Name, Role: string(k.Role), Hint: k.Hint, CreatedAt: k.Created,
	}
	if !k.Tenant.IsZero() {
		app := k.Tenant.Base62(subscription.TenantPrefix)
		out.AppID = &app
	}
	if !k.Expires.IsZero() {
		out.ExpiresAt = &k.Expires
	}
	return out
}
