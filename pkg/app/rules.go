package app

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/transform"
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
		CheckFilter:         func(expression string) error { return filter.Check(expression, nil) },
		CheckTransformation: checkTransformation,
		CheckEncryption: func(scheme, key string) error {
			_, err := encrypt.New(scheme, key)
			return err
		},
		Profiles: profiles.Names(),
	}, nil
}

// checkTransformation compiles a program. The error is where it goes wrong, without the package's name for it.
func checkTransformation(code string) error {
	_, err := transform.Compile(code)
	if syntax, ok := errors.AsType[*transform.SyntaxError](err); ok {
		return errors.New(strings.TrimPrefix(syntax.Error(), "transformation: "))
	}
	return err
}
