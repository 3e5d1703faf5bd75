package backoff_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/backoff"
)

func TestParseRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"0": 0, "1": time.Second, "120": 2 * time.Minute, " 7\t": 7 * time.Second, "007": 7 * time.Second,
		"9223372036":                     9223372036 * time.Second,
		"9223372037":                     math.MaxInt64,
		"99999999999999999999999999":     math.MaxInt64,
		"Sun, 01 Mar 2026 12:00:30 GMT":  30 * time.Second,
		"Sunday, 01-Mar-26 12:01:00 GMT": time.Minute,
		"Sun Mar  1 13:00:00 2026":       time.Hour,
		"Sun, 01 Mar 2026 12:00:00 GMT":  0,
		"Sat, 28 Feb 2026 12:00:00 GMT":  0,
		"Thu, 01 Jan 1970 00:00:00 GMT":  0,
	} {
		got, ok := backoff.ParseRetryAfter(header, start)
		require.True(t, ok, "%q", header)
		require.Equal(t, want, got, "%q", header)
	}
	for _, header := range []string{
		"", " ", "-1", "+1", "1.5", "1e3", "0x10", "1 2", "soon", "Sun, 01 Mar 2026 12:00:30 PST",
		"Sun, 01 Mar 2026 12:00:30", "2026-03-01T12:00:30Z", "٣",
	} {
		_, ok := backoff.ParseRetryAfter(header, start)
		require.False(t, ok, "%q", header)
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "120", "99999999999999999999", "Sun, 01 Mar 2026 12:00:30 GMT", "-1", "Sun Mar  1 13:00:00 2026"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got, ok := backoff.ParseRetryAfter(header, start)
		require.GreaterOrEqual(t, got, time.Duration(0))
		if !ok {
			require.Zero(t, got)
			return
		}
		if at, err := http.ParseTime(header); err == nil {
			require.Equal(t, max(at.Sub(start), 0), got, "the standard library reads another date")
		}
	})
}
