package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEndpointsOfAStatus(t *testing.T) {
	t.Parallel()
	var s shownEndpoints
	require.NoError(t, json.Unmarshal([]byte(`{
		"breakers": {"count": 7, "list": [
			{"appId": "app_1", "endpointId": "ep_1", "url": "https://a.example/", "nextProbe": "2026-01-02T03:04:05Z"},
			{"appId": "app_1", "endpointId": "ep_2", "url": "https://b.example/", "since": "2026-01-02T02:00:00Z", "nextProbe": "2026-01-02T03:04:05Z"}
		]},
		"busiest": [{"appId": "app_1", "endpointId": "ep_3", "url": "https://c.example/", "attempts": 1000, "failures": 1, "successRate": 0.999}],
		"sickest": []
	}`), &s))
	got := s.text()
	for _, want := range []string{
		`(?m)^Open breakers of endpoints that are enabled: 7$`, `(?m)^app_1 +ep_1 +unknown +2026\S+ +https://a.example/$`, `(?m)^app_1 +ep_2 +2026\S+ +2026\S+ +https://b.example/$`,
		`(?m)^Sickest endpoints of the last hour: none$`, `(?m)^app_1 +ep_3 +1000 +1 +99.9 % +https://c.example/$`,
	} {
		require.Regexp(t, want, got)
	}
}
