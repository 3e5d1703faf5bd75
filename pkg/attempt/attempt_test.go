package attempt_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/outcome"
)

func TestSmoke(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }))
	defer srv.Close()
	c := attempt.New(srv.Client().Transport)
	res, err := c.Do(t.Context(), &attempt.Request{URL: srv.URL, Body: []byte("{}")})
	require.NoError(t, err)
	require.Equal(t, outcome.ResultSuccess, res.Result)
}
