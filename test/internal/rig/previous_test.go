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

func TestReleaseIsATagOrACommit(t *testing.T) {
	root := repository(t, "v1", "-now")
	want, err := git(t.Context(), root, "rev-parse", "HEAD^")
	require.NoError(t, err)
	for _, ref := range []string{"v1", want, want[:12], "HEAD^"} {
		got, err := resolve(t.Context(), root, ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, got, ref)
	}
	for _, ref := range []string{"v2", "", last.commit} {
		_, err := resolve(t.Context(), root, ref)
		require.ErrorContains(t, err, "want a tag or a commit that this clone has (git fetch --unshallow --tags)", ref)
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
