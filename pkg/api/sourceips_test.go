package api

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSourceIPs(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/48")}
	h := newHarness(t, func(o *Options) { o.SourceIPs = networks })
	require.JSONEq(t, `{"networks":["192.0.2.0/24","2001:db8::/48"]}`, h.ok(http.StatusOK, http.MethodGet, "/source-ips", nil).body)
	require.JSONEq(t, `{"networks":[]}`, newHarness(t).ok(http.StatusOK, http.MethodGet, "/source-ips", nil).body)
}
