package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/subscription"
)

// EndpointSecretOut is the signing secret of a subscription.
type EndpointSecretOut struct {
	Key string `json:"key"`
}

// EndpointSecretRotateIn replaces the signing secret.
type EndpointSecretRotateIn struct {
	Key                *string `json:"key,omitempty" nullable:"true" maxLength:"256" doc:"The new secret, in the form of the profile. Made if left out."`
	GracePeriodSeconds *int64  `json:"gracePeriodSeconds,omitempty" nullable:"true" minimum:"0" maximum:"604800" doc:"How long the old secret signs as well; a day if left out, 0 for not at all."`
}

const (
	// defaultGrace is how long an old secret signs as well unless the caller says otherwise, as Svix has it.
	defaultGrace = 24 * time.Hour
	// maxRetired bounds the old secrets that sign at a time: every attempt carries a signature of each.
	maxRetired = subscription.MaxSecrets - 1
)

func (a *API) endpointSecrets() {
	register(a, below(http.MethodGet, "/secret", "v1.endpoint.get-secret", "Get an endpoint's signing secret", access.ViewSecrets, ""),
		a.getSecret)
	registerBody(a, below(http.MethodPost, "/secret/rotate", "v1.endpoint.rotate-secret", "Rotate an endpoint's signing secret",
		access.ManageSecrets, "At most ten old secrets sign at a time: a rotation that would make it eleven is refused with 400 "+
			"limit_reached, until the first of them expires. With a grace period of 0 the old secret is dropped at once, and "+
			"there is always room. The answer is the secret, where the Svix API has none: its Python client reads one, and the other "+
			"clients that do not are content with any status of success."), a.rotateSecret)
}

func (a *API) getSecret(ctx context.Context, in *EndpointPath) (*answer[EndpointSecretOut], error) {
	return shown(ctx, in.Endpoint, func(e *edit) (EndpointSecretOut, error) {
		if len(e.sub.Secrets) == 0 {
			return EndpointSecretOut{}, notFound("secret")
		}
		secret := e.sub.Secrets[0]
		if subscription.Sealed(secret) {
			return EndpointSecretOut{}, refuse(http.StatusServiceUnavailable, "secret_unreadable",
				"the secret does not open with this installation's keys: ask whoever runs it")
		}
		return EndpointSecretOut{Key: secret}, nil
	})
}

func (a *API) rotateSecret(ctx context.Context, in *EndpointWriteBody, body *EndpointSecretRotateIn) (*answer[EndpointSecretOut], error) {
	grace := defaultGrace
	if body.GracePeriodSeconds != nil {
		grace = time.Duration(*body.GracePeriodSeconds) * time.Second
	}
	e, applied, err := a.change(ctx, in.Endpoint, in.WriteInput, map[string]string{"secrets[0]": "key"}, func(e *edit) error {
		key := value(body.Key)
		if body.Key == nil {
			var err error
			if key, err = a.newSecret(subscription.ProfileOf(e.sub, e.tenant)); err != nil {
				return err
			}
		}
		return rotate(e.sub, "key", key, grace, a.opts.Now().UTC().Truncate(time.Millisecond))
	})
	return resource(e, applied, err, func(e *edit) EndpointSecretOut { return EndpointSecretOut{Key: e.sub.Secrets[0]} })
}

// rotate makes key the secret of s. What signed so far signs on for the grace period. field is where the caller gave it.
func rotate(s *subscription.Subscription, field, key string, grace time.Duration, now time.Time) error {
	retired := stillSigning(s.Retired, now)
	used := slices.Contains(s.Secrets, key) ||
		slices.ContainsFunc(retired, func(r subscription.RetiredSecret) bool { return r.Secret == key })
	if used {
		return invalid(field, "is in use, or was until it was rotated out: want a new one")
	}
	if grace > 0 {
		var old []subscription.RetiredSecret
		for _, secret := range s.Secrets {
			old = append(old, subscription.RetiredSecret{Secret: secret, Expires: now.Add(grace)})
		}
		retired = append(old, retired...)
	}
	if len(retired) > maxRetired {
		return refuse(http.StatusBadRequest, "limit_reached",
			"%d old secrets would sign: want at most %d; rotate again when one has expired, or with gracePeriodSeconds 0", len(retired), maxRetired)
	}
	s.Secrets, s.Retired = []string{key}, retired
	return nil
}

// stillSigning returns those that have not expired, in a list of its own.
func stillSigning(retired []subscription.RetiredSecret, now time.Time) []subscription.RetiredSecret {
	return slices.DeleteFunc(slices.Clone(retired), func(r subscription.RetiredSecret) bool { return !now.Before(r.Expires) })
}
