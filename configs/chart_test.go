package configs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/config"
)

// The configurations that the Helm chart makes of its values files; test/chart writes them there.
func TestTheChartMakesConfigurations(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("../test/chart/testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, archives)
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		require.NoError(t, err)
		for _, f := range archive.Files {
			file := filepath.Join(t.TempDir(), f.Name)
			require.NoError(t, os.WriteFile(file, f.Data, 0o600))
			_, err := config.Load(file, nil, nil)
			require.NoError(t, err, "%s: %s", path, f.Name)
		}
	}
}
