package app

import (
	"fmt"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
)

// Rules returns what tenants and subscriptions have to comply with under a configuration, from wherever they are written.
func Rules(conf *config.Config, profiles profile.Set) (subscription.Rules, error) {
	guard, err := egress.NewGuard(EgressConfig(conf))
	if err != nil {
		return subscription.Rules{}, fmt.Errorf("egress: %w", err)
	}
	return subscription.Rules{
		CheckURL: guard.CheckURL,
		CheckSecret: func(name, secret string) error {
			if p, ok := profiles.Get(name); ok {
				return p.Scheme().ValidateSecret(secret)
			}
			return nil // the profile itself is what is wrong
		},
		ReservedHeader: func(name, header string) bool {
			p, ok := profiles.Get(name)
			return ok && p.ReservedHeader(header)
		},
		CheckFilter: func(expression string) error { return filter.Check(expression, nil) },
		Profiles:    profiles.Names(),
	}, nil
}
