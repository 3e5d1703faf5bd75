package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/subscription"
)

// What the packages behind the rules say comes out under the field it is about, without what is secret.
func TestRulesOfWhatIsSent(t *testing.T) {
	conf := config.Default()
	profiles, err := Profiles(&conf)
	require.NoError(t, err)
	rules, err := Rules(&conf, profiles)
	require.NoError(t, err)
	standard, _ := profiles.Get("standard")
	secret, err := standard.Scheme().NewSecret()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		transformation *subscription.Transformation
		encryption     *subscription.Encryption
		want           string
	}{
		"good": {
			&subscription.Transformation{Code: ".payload |= {id}", Enabled: true},
			&subscription.Encryption{Scheme: "voyado", Key: "abcdefghijklmnopqrstuvwxyzABCD09"}, "",
		},
		"no jq":      {&subscription.Transformation{Code: ".payload |"}, nil, "transformation.code: 1:11: "},
		"no scheme":  {nil, &subscription.Encryption{Scheme: "rot13"}, `encryption.scheme: "rot13", want one of jwe, voyado`},
		"no key":     {nil, &subscription.Encryption{Scheme: "jwe"}, "encryption.key: want 43 characters"},
		"bad key":    {nil, &subscription.Encryption{Scheme: "voyado", Key: "CANARY"}, "encryption.key: want 32 characters"},
		"not wanted": {&subscription.Transformation{Code: "now"}, nil, "transformation.code: now is not offered"},
	} {
		t.Run(name, func(t *testing.T) {
			err := subscription.ValidateSubscription(&subscription.Subscription{
				URL: "https://a.example.com", Secrets: []string{secret}, Transformation: c.transformation, Encryption: c.encryption,
			}, nil, rules)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), hush)
		})
	}
}
