package profile_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/profile"
)

func load(t *testing.T) profile.Set {
	t.Helper()
	set, err := profile.Load(configs.Profiles)
	require.NoError(t, err)
	return set
}

func TestShippedProfilesLoad(t *testing.T) {
	require.Equal(t, []string{"dixa", "dixa-classic", "standard", "svix"}, load(t).Names())
}
