package api

import (
	"context"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// SigningKeysOut are the secrets that requests are signed with, newest first.
type SigningKeysOut struct {
	Data []SigningKeyOut `json:"data" nullable:"false"`
}

// SigningKeyOut is one of them, without itself.
type SigningKeyOut struct {
	Hint      string     `json:"hint" doc:"Its last four characters."`
	ExpiresAt *time.Time `json:"expiresAt" nullable:"true" doc:"When it stops to sign; null for the current one."`
}

// hintLength is how much of a secret tells it from others without giving it away: the shortest of 32 bytes has 43 characters.
const hintLength = 4

func (a *API) endpointSigningKeys() {
	register(a, below(http.MethodGet, "/signing-keys", "postrider.endpoint.list-signing-keys", "List the secrets that sign for an endpoint",
		access.ViewSecrets, "Of a secret that was rotated out, until when: a receiver that verifies with it has until then."),
		func(ctx context.Context, in *EndpointPath) (*answer[SigningKeysOut], error) {
			return shown(ctx, in.Endpoint, func(e *edit) (SigningKeysOut, error) { return a.signingKeys(e.sub), nil })
		})
}

func (a *API) signingKeys(s *subscription.Subscription) SigningKeysOut {
	out := SigningKeysOut{Data: []SigningKeyOut{}}
	for _, secret := range s.Secrets {
		out.Data = append(out.Data, SigningKeyOut{Hint: hint(secret)})
	}
	for _, old := range stillSigning(s.Retired, a.opts.Now()) {
		out.Data = append(out.Data, SigningKeyOut{Hint: hint(old.Secret), ExpiresAt: &old.Expires})
	}
	return out
}

// hint is empty for a secret that does not open, or is too short to have one.
func hint(secret string) string {
	if subscription.Sealed(secret) || len(secret) < 4*hintLength {
		return ""
	}
	return secret[len(secret)-hintLength:]
}
