package access_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

var (
	mine, theirs = ident.New(), ident.New()
	none         ident.ID
	start        = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func portal(capabilities ...access.Capability) *access.Principal {
	return (&access.PortalClaims{ID: ident.New(), Tenant: mine, Capabilities: capabilities}).Principal()
}

func key(role access.Role, tenant ident.ID) *access.Principal {
	return (&access.Key{ID: ident.New(), Role: role, Tenant: tenant}).Principal()
}

// Everything that somebody may do is named; whatever is not named is refused.
func TestMay(t *testing.T) {
	ofTenant := []access.Permission{
		access.ViewTenant, access.ManageTenant, access.ManageEndpoints, access.ManageEndpointTransformations, access.ViewSecrets, access.ManageSecrets, access.Publish,
		access.SendExample, access.SendAgain, access.ViewTasks, access.CancelTasks, access.GrantPortal, access.ManageTenantKeys,
		access.ViewCatalogue,
	}
	of := func(permissions ...access.Permission) []access.Permission { return permissions }
	for _, c := range []struct {
		name                 string
		who                  *access.Principal
		own, others, nobodys []access.Permission
	}{
		{"operator", key(access.RoleOperator, none), access.Permissions(), access.Permissions(), access.Permissions()},
		{"tenant", key(access.RoleTenant, mine), ofTenant, nil, of(access.ViewCatalogue, access.ViewTasks, access.CancelTasks)},
		{
			"reader of all", key(access.RoleReadOnly, none),
			of(access.ViewTenant, access.ViewCatalogue, access.ViewTasks, access.ViewAll),
			of(access.ViewTenant, access.ViewCatalogue, access.ViewTasks, access.ViewAll),
			of(access.ViewTenant, access.ViewCatalogue, access.ViewTasks, access.ViewAll),
		},
		{
			"reader of one", key(access.RoleReadOnly, mine),
			of(access.ViewTenant, access.ViewCatalogue, access.ViewTasks),
			nil,
			of(access.ViewCatalogue, access.ViewTasks),
		},
		{"role from the future", key("owner", none), nil, nil, nil},
		{"portal without capabilities", portal(), nil, nil, nil},
		{
			"portal that sees", portal(access.ViewBase),
			of(access.ViewTenant, access.ViewCatalogue, access.ViewTasks),
			nil,
			of(access.ViewCatalogue, access.ViewTasks),
		},
		{
			"portal with all", portal(access.Capabilities()...), []access.Permission{
				access.ViewTenant, access.ViewCatalogue, access.ViewSecrets, access.ManageSecrets, access.SendExample, access.ManageEndpoints,
				access.ManageEndpointTransformations, access.SendAgain, access.ViewTasks, access.CancelTasks,
			}, nil, of(access.ViewCatalogue, access.ViewTasks, access.CancelTasks),
		},
		{
			"portal that transforms", portal(access.ManageTransformations),
			[]access.Permission{access.ManageEndpointTransformations},
			nil, nil,
		},
		{"portal with a capability from the future", portal("Everything"), nil, nil, nil},
		{"portal with a role", &access.Principal{Kind: access.KindPortal, Role: access.RoleOperator, Tenant: mine}, nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range access.Permissions() {
				require.Equal(t, slices.Contains(c.own, p), c.who.May(p, mine), "%s of the own tenant", p)
				require.Equal(t, slices.Contains(c.others, p), c.who.May(p, theirs), "%s of another tenant", p)
				require.Equal(t, slices.Contains(c.nobodys, p), c.who.May(p, none), "%s of no tenant", p)
			}
		})
	}
}

func TestKeyKeepsNoToken(t *testing.T) {
	k, token := access.NewKey("ci", access.RoleTenant, mine, start, start.Add(time.Hour))
	require.NoError(t, k.Validate())
	require.Regexp(t, `^prk_[A-Za-z0-9_-]{43}$`, token)
	require.Equal(t, access.HashToken(token), k.Hash)
	raw, err := json.Marshal(k)
	require.NoError(t, err)
	require.NotContains(t, string(raw), token)
	require.NotContains(t, string(raw), strings.TrimPrefix(token, access.TokenPrefix)[:8])
	require.True(t, strings.HasSuffix(token, k.Hint))

	var again access.Key
	require.NoError(t, json.Unmarshal(raw, &again))
	require.Equal(t, *k, again)

	_, other := access.NewKey("ci", access.RoleTenant, mine, start, time.Time{})
	require.NotEqual(t, token, other)
}

func TestKeyExpires(t *testing.T) {
	k, _ := access.NewKey("ci", access.RoleReadOnly, none, start, start.Add(time.Hour))
	require.False(t, k.Expired(start.Add(time.Hour-1)))
	require.True(t, k.Expired(start.Add(time.Hour)))
	k.Expires = time.Time{}
	require.False(t, k.Expired(start.AddDate(100, 0, 0)))
}

func TestValidateKey(t *testing.T) {
	for _, c := range []struct {
		name   string
		keyed  string
		role   access.Role
		tenant ident.ID
		want   string
	}{
		{"operator", "ops", access.RoleOperator, none, ""},
		{"reader of one", "dashboard", access.RoleReadOnly, mine, ""},
		{"no name", "", access.RoleOperator, none, "name: "},
		{"long name", strings.Repeat("x", subscription.MaxName+1), access.RoleOperator, none, "name: "},
		{"name in two lines", "a\nb", access.RoleOperator, none, "name: "},
		{"no role", "x", "", none, "role: "},
		{"operator of a tenant", "x", access.RoleOperator, mine, "tenant: "},
		{"administrator of nobody", "x", access.RoleTenant, none, "tenant: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, _ := access.NewKey(c.keyed, c.role, c.tenant, start, time.Time{})
			err := k.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestHashAsText(t *testing.T) {
	h := access.HashToken("prk_x")
	text, err := h.MarshalText()
	require.NoError(t, err)
	var again access.Hash
	require.NoError(t, again.UnmarshalText(text))
	require.Equal(t, h, again)
	for _, bad := range []string{"", "x", string(text[1:]), string(text) + "AAAA", "*" + string(text[1:])} {
		require.Error(t, again.UnmarshalText([]byte(bad)), bad)
	}
}

func TestPortalClaims(t *testing.T) {
	c := &access.PortalClaims{
		ID: ident.New(), Tenant: mine, Session: "user-1", Capabilities: []access.Capability{access.ViewBase}, Issued: start, Expires: start.Add(time.Hour),
	}
	text, err := c.Encode()
	require.NoError(t, err)
	again, err := access.ParsePortal(text)
	require.NoError(t, err)
	require.Equal(t, c, again)
	for _, bad := range []string{"", "{}", "null", `{"id":"` + mine.UUID() + `"}`, text[:len(text)-1]} {
		_, err := access.ParsePortal(bad)
		require.ErrorIs(t, err, access.ErrPortalToken, bad)
	}
}

func TestCheckPortalClaims(t *testing.T) {
	c := &access.PortalClaims{ID: ident.New(), Tenant: mine, Session: "user-1", Issued: start, Expires: start.Add(time.Hour)}
	revoked := func(name string) subscription.PortalAccess {
		return access.Revoke(subscription.PortalAccess{}, name, c.Expires, start)
	}
	for _, tc := range []struct {
		name   string
		portal subscription.PortalAccess
		at     time.Time
		good   bool
	}{
		{"fresh", subscription.PortalAccess{}, start, true},
		{"at its end", subscription.PortalAccess{}, c.Expires, false},
		{"token ended", revoked(c.ID.UUID()), start, false},
		{"session ended", revoked(access.SessionPrefix + "user-1"), start, false},
		{"another session ended", revoked(access.SessionPrefix + "user-2"), start, true},
		{"a token named like the session", revoked("user-1"), start, true},
		{"all ended", subscription.PortalAccess{NotBefore: start.Add(1)}, start.Add(1), false},
		{"all older ones ended", subscription.PortalAccess{NotBefore: start}, start, true},
		{"all will end", subscription.PortalAccess{NotBefore: start.Add(1), NotBeforeFrom: start.Add(time.Minute)}, start.Add(2), true},
		{"all have ended", subscription.PortalAccess{NotBefore: start.Add(1), NotBeforeFrom: start.Add(time.Minute)}, start.Add(time.Minute), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := c.Check(&subscription.Tenant{ID: mine, Portal: tc.portal}, tc.at)
			if tc.good {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, access.ErrPortalToken)
		})
	}
}

// What was revoked is kept for as long as it would have been good, and its number is bounded.
func TestRevoke(t *testing.T) {
	var p subscription.PortalAccess
	p = access.Revoke(p, "a", start.Add(time.Minute), start)
	kept := access.Revoke(p, "b", start.Add(time.Hour), start)
	require.Len(t, kept.Revoked, 2)
	require.Len(t, p.Revoked, 1, "what it was made of stays as it is")
	kept = access.Revoke(kept, "c", start.Add(time.Hour), start.Add(time.Minute))
	require.NotContains(t, kept.Revoked, "a")

	for i := range access.MaxRevoked {
		p = access.Revoke(p, ident.Derive("test", string(rune('a'+i))).UUID(), start.Add(time.Hour), start)
	}
	require.Empty(t, p.Revoked)
	old := &access.PortalClaims{ID: ident.New(), Tenant: mine, Issued: start.Add(-1), Expires: start.Add(time.Hour)}
	require.ErrorIs(t, old.Check(&subscription.Tenant{ID: mine, Portal: p}, start), access.ErrPortalToken)
}
