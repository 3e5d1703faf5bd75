package rig

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// repository makes one with a commit for each name; a name is also the commit's tag, unless it begins with a minus.
func repository(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	run := func(args ...string) {
		_, err := git(t.Context(), root, append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com"}, args...)...)
		require.NoError(t, err)
	}
	run("init", "-q")
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(root, "name"), []byte(name), 0o600))
		run("add", "name")
		run("commit", "-q", "-m", name)
		if name[0] != '-' {
			run("tag", name)
		}
	}
	return root
}

func TestTheLastTagIsNotOfHEAD(t *testing.T) {
	for _, tc := range []struct {
		commits []string
		want    string // empty: none
	}{
		{[]string{"v1", "v2", "-now"}, "v2"},
		{[]string{"v1", "-", "v2"}, "v1"},
		{[]string{"-", "v1"}, ""},
		{[]string{"v1"}, ""},
		{[]string{"-", "-now"}, ""},
	} {
		got, err := lastTag(t.Context(), repository(t, tc.commits...))
		require.Equal(t, tc.want, got, "%v", tc.commits)
		if tc.want == "" {
			require.ErrorIs(t, err, errNoTag, "%v", tc.commits)
			require.ErrorContains(t, err, "git fetch --tags")
		} else {
			require.NoError(t, err, "%v", tc.commits)
		}
	}
}

func TestTheFilesOfACommit(t *testing.T) {
	root := repository(t, "v1", "v2")
	into := filepath.Join(t.TempDir(), "v1")
	require.NoError(t, export(t.Context(), root, "v1", into))
	text, err := os.ReadFile(filepath.Join(into, "name"))
	require.NoError(t, err)
	require.Equal(t, "v1", string(text))
	require.Error(t, export(t.Context(), root, "v1", into), "it is there")
}
