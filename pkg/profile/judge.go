package profile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/pkg/outcome"
)

// Statuses that a response can have: RFC 9110, section 15. 1xx is never final.
const (
	minStatus = 200
	maxStatus = 599
)

// StatusRange is a range of HTTP statuses, both ends included; written "200-299" or "204".
type StatusRange struct{ Low, High int }

// Contains reports whether status is in r.
func (r StatusRange) Contains(status int) bool { return r.Low <= status && status <= r.High }

// UnmarshalText reads "200-299" or "204".
func (r *StatusRange) UnmarshalText(text []byte) error {
	low, high, ok := strings.Cut(string(text), "-")
	if !ok {
		high = low
	}
	var err1, err2 error
	r.Low, err1 = strconv.Atoi(low)
	r.High, err2 = strconv.Atoi(high)
	if err1 != nil || err2 != nil || r.Low > r.High || r.Low < minStatus || r.High > maxStatus {
		return fmt.Errorf("%q is no range of statuses: want, for example, 200-299 or 204, within %d to %d",
			text, minStatus, maxStatus)
	}
	return nil
}

// Judgement is what a profile makes of an attempt.
type Judgement struct {
	// Result is the attempt's result as the profile sees it: success for a 302 if the success rule says so.
	Result outcome.Result
	// Success means delivered.
	Success bool
	// Retryable means that the retry policy decides about another try; else a failure ends the delivery.
	Retryable bool
	// Disable means that the subscription is to be disabled: 410 under disableOnGone.
	Disable bool
	// Throttle means that the lane is to be slowed down.
	Throttle bool
}

// Judge applies the success rule to the status of a complete response, then the retry rule to what is left. Where the
// response was not complete (a timeout or reset after the status line), the result stands.
func (p *Profile) Judge(result outcome.Result, status int) Judgement {
	if ByStatus(result) {
		if p.succeeds(status) {
			return Judgement{Result: outcome.ResultSuccess, Success: true}
		}
		if result == outcome.ResultSuccess { // a 2xx that this profile does not accept
			result = outcome.ResultServerError
		}
	}
	return Judgement{
		Result:    result,
		Retryable: !slices.Contains(p.NotRetried, result),
		Disable:   p.DisableOnGone && result == outcome.ResultGone,
		Throttle:  ByStatus(result) && slices.Contains(p.Throttle, status),
	}
}

func (p *Profile) succeeds(status int) bool {
	return slices.ContainsFunc(p.Success, func(r StatusRange) bool { return r.Contains(status) })
}

// ByStatus reports whether result comes from the status of a complete response.
func ByStatus(result outcome.Result) bool {
	switch result {
	case outcome.ResultSuccess, outcome.ResultRedirect, outcome.ResultClientError, outcome.ResultGone,
		outcome.ResultThrottled, outcome.ResultServerError:
		return true
	default:
		return false
	}
}
