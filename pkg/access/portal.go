package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// PortalPrefix begins a portal token.
const PortalPrefix = "prp_"

// PortalAssociated is what a portal token's claims are sealed with, so that nothing else that was sealed passes for one.
const PortalAssociated = "portal-token"

// Lifetimes of portal tokens, as Svix has them.
const (
	MinPortalExpiry     = time.Hour
	MaxPortalExpiry     = 7 * 24 * time.Hour
	DefaultPortalExpiry = MaxPortalExpiry
	// MaxRevoked bounds the sessions and tokens of one tenant that were ended before their time.
	MaxRevoked = 1000
)

// PortalClaims are what a portal token says; it travels sealed.
type PortalClaims struct {
	ID           ident.ID     `json:"id"`
	Tenant       ident.ID     `json:"tenant"`
	Session      string       `json:"session,omitempty"`
	Capabilities []Capability `json:"capabilities"`
	Issued       time.Time    `json:"issued"`
	Expires      time.Time    `json:"expires"`
}

// ErrPortalToken is the refusal of a portal token: malformed, expired, or taken back.
var ErrPortalToken = errors.New("portal token is not valid")

// Encode returns the claims as text, to be sealed.
func (c *PortalClaims) Encode() (string, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding portal claims: %w", err)
	}
	return string(raw), nil
}

// ParsePortal reads what [PortalClaims.Encode] wrote.
func ParsePortal(text string) (*PortalClaims, error) {
	c := new(PortalClaims)
	if err := json.Unmarshal([]byte(text), c); err != nil || c.ID.IsZero() || c.Tenant.IsZero() {
		return nil, ErrPortalToken
	}
	return c, nil
}

// Check refuses claims that expired, or that the tenant took back.
func (c *PortalClaims) Check(t *subscription.Tenant, now time.Time) error {
	_, token := t.Portal.Revoked[c.ID.UUID()]
	_, session := t.Portal.Revoked[SessionPrefix+c.Session]
	all := c.Issued.Before(t.Portal.NotBefore) && !now.Before(t.Portal.NotBeforeFrom)
	if !now.Before(c.Expires) || all || token || session {
		return ErrPortalToken
	}
	return nil
}

// SessionPrefix begins the names of sessions among what was revoked; tokens are there by their UUID.
const SessionPrefix = "session/"

// Principal returns who shows the token.
func (c *PortalClaims) Principal() *Principal {
	return &Principal{Kind: KindPortal, ID: c.ID, Name: c.Session, Tenant: c.Tenant, Capabilities: c.Capabilities}
}

// Revoke returns access without the token, or the session ([SessionPrefix] and its name), which would have been good until the given time.
// What expired by now is forgotten; beyond [MaxRevoked] everything made so far is taken back.
func Revoke(p subscription.PortalAccess, name string, until, now time.Time) subscription.PortalAccess {
	p.Revoked = maps.Clone(p.Revoked)
	if p.Revoked == nil {
		p.Revoked = map[string]time.Time{}
	}
	maps.DeleteFunc(p.Revoked, func(_ string, at time.Time) bool { return !now.Before(at) })
	if p.Revoked[name] = until; len(p.Revoked) > MaxRevoked {
		return subscription.PortalAccess{NotBefore: now, NotBeforeFrom: now}
	}
	return p
}
