package app

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"
)

// Whoever closes what requests use can wait for those that the server cut off.
func TestRequestsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answering, end := semaphore.NewWeighted(math.MaxInt64), make(chan struct{})
		handler := counted(answering, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
		for range 2 {
			go handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		}
		synctest.Wait()
		late, cancel := context.WithTimeout(t.Context(), lastWords)
		defer cancel()
		require.ErrorIs(t, answering.Acquire(late, math.MaxInt64), context.DeadlineExceeded)
		close(end)
		require.NoError(t, answering.Acquire(t.Context(), math.MaxInt64))
	})
}
