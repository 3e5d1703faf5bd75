package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/egress"
)

func TestEgressConfig(t *testing.T) {
	conf := config.Default()
	conf.Egress.Proxy = config.Proxy{URL: "http://proxy:3128", Username: "rider", Password: "hush", PasswordFile: "file"}
	got := EgressConfig(&conf)
	require.Equal(t, egress.Proxy{URL: "http://proxy:3128", Username: "rider", Password: "hush", PasswordFile: "file"}, got.Proxy)
	require.Equal(t, []uint16{8443}, got.Ports)
	require.Equal(t, egress.DefaultMaxIdleConns, got.MaxIdleConns)
}
