package backoff

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// httpDates are the three forms of an HTTP-date that a recipient has to accept (RFC 9110, section 5.6.7): IMF-fixdate,
// RFC 850 and asctime. All of them are in GMT.
var httpDates = [...]string{ //nolint:gochecknoglobals // a table
	"Mon, 02 Jan 2006 15:04:05 GMT",
	"Monday, 02-Jan-06 15:04:05 GMT",
	time.ANSIC,
}

// ParseRetryAfter reads a Retry-After header (RFC 9110, section 10.2.3): a number of seconds or an HTTP-date, which
// is taken relative to now. A date that is past is 0; more than a Duration holds is the longest one. It reports false
// for anything else, which is then as good as no header.
func ParseRetryAfter(header string, now time.Time) (time.Duration, bool) {
	header = strings.Trim(header, " \t")
	if header == "" {
		return 0, false
	}
	if isDigits(header) {
		seconds, err := strconv.ParseInt(header, 10, 64)
		if err != nil || seconds > int64(math.MaxInt64/time.Second) { // only the range can be wrong with digits
			return math.MaxInt64, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	for _, layout := range httpDates {
		if at, err := time.Parse(layout, header); err == nil {
			return max(at.Sub(now), 0), true
		}
	}
	return 0, false
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
