package outcome

import "time"

// State is what an endpoint's attempts add up to. It is a fold of the outcomes in log order, so whoever owns the
// partition next computes the same. It starts with [NewState]: in a zero State the outcome at offset 0 is folded already.
type State struct {
	// Generation is the highest generation of the subscription among the attempts. Enabling raises it, and the consecutive
	// failures are counted anew: those of before must not disable it again.
	Generation int64 `json:"generation,omitempty"`
	// ConsecutiveFailures is the number of failed attempts since the last success.
	ConsecutiveFailures int `json:"consecutive_failures"`
	// Unhealthy is the number of attempts in a row whose result says that the endpoint is not well; see
	// [Result.Unhealthy]. An endpoint that refuses single deliveries with 4xx is well.
	Unhealthy int `json:"unhealthy"`
	// FailingSince is when the first of the consecutive failures started; zero while the last attempt succeeded.
	FailingSince time.Time `json:"failing_since,omitzero"`
	LastSuccess  time.Time `json:"last_success,omitzero"`
	LastFailure  time.Time `json:"last_failure,omitzero"`
	// Folded is the offset in the outcomes partition up to which, inclusive, outcomes are folded in; -1 for none.
	Folded int64 `json:"folded"`
}

// NewState returns the state of an endpoint that was never tried.
func NewState() State { return State{Folded: -1} }

// Fold returns s after the outcome at the given offset. Rows that are not [Outcome.OfEndpoint] and rows already folded in
// change nothing but the offset.
func (s State) Fold(o *Outcome, offset int64) State {
	if offset <= s.Folded {
		return s
	}
	s.Folded = offset
	return s.Add(o)
}

// Add returns s after an outcome that is not in the log yet. Rows that are not [Outcome.OfEndpoint] change nothing, and those
// that end at the forward proxy no more than Unhealthy: an hour without it must not disable endpoints that are well.
func (s State) Add(o *Outcome) State {
	if !o.OfEndpoint() {
		return s
	}
	if o.Generation > s.Generation {
		s.Generation, s.ConsecutiveFailures, s.FailingSince = o.Generation, 0, time.Time{}
	}
	s.Unhealthy++
	if !o.Result.Unhealthy() {
		s.Unhealthy = 0
	}
	switch {
	case o.Result == ResultProxy:
	case o.Result == ResultSuccess:
		s.ConsecutiveFailures = 0
		s.FailingSince = time.Time{}
		s.LastSuccess = o.At
	case o.Generation < s.Generation: // of an attempt that was under way when the subscription was enabled
		s.LastFailure = o.At
	default:
		if s.ConsecutiveFailures == 0 {
			s.FailingSince = o.At
		}
		s.ConsecutiveFailures++
		s.LastFailure = o.At
	}
	return s
}
