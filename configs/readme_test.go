package configs_test

import (
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

// The files in the tree are those in the binary, and the README lists them.
func TestReadmeListsCatalogues(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("catalogues/README.md")
	require.NoError(t, err)
	shipped, err := fs.ReadDir(configs.Catalogues, "catalogues")
	require.NoError(t, err)
	require.NotEmpty(t, shipped)
	for _, f := range shipped {
		assert.Contains(t, string(readme), "("+f.Name()+")")
	}
}
