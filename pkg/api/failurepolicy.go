package api

import (
	"errors"

	"github.com/postrider/postrider/pkg/subscription"
)

// FailurePolicy says what follows when an endpoint's attempts fail. Durations are texts such as "1h30m".
type FailurePolicy struct {
	Kind     string `json:"kind" enum:"never,consecutive,rate,lasting" doc:"consecutive: failures in a row, all of them within a time if there is one. rate: a percentage of the attempts within a time. lasting: every attempt fails for a time."`
	Failures int    `json:"failures,omitempty" minimum:"0" maximum:"10000" doc:"Failed attempts in a row, over all deliveries; at most 100 where their times count. Of lasting, those that start the clock."`
	Percent  int    `json:"percent,omitempty" minimum:"0" maximum:"100" doc:"Of rate."`
	Attempts int    `json:"attempts,omitempty" minimum:"0" maximum:"1000000" doc:"Of rate: fewer than these say nothing."`
	Within   string `json:"within,omitempty" doc:"1m to 720h; of rate to 24h." example:"3h"`
	Apart    string `json:"apart,omitempty" doc:"Of lasting: from the first to the last of the failures that start the clock, at least." example:"12h"`
	For      string `json:"for,omitempty" doc:"Of lasting: 1m to 720h from the start of the clock." example:"120h"`
	Effect   string `json:"effect,omitempty" enum:"disable,lock,suspend_retries" doc:"disable, if left out. lock: disabled until an operator enables it. suspend_retries: no retries until an attempt succeeds."`
}

// policy reads the durations. Whether the policy makes sense is for [subscription.FailurePolicy.Validate].
func (in *FailurePolicy) policy() (*subscription.FailurePolicy, error) {
	within, err1 := readDuration("failure.within", in.Within)
	apart, err2 := readDuration("failure.apart", in.Apart)
	lasting, err3 := readDuration("failure.for", in.For)
	return &subscription.FailurePolicy{
		Kind: subscription.FailureKind(in.Kind), Failures: in.Failures, Percent: in.Percent, Attempts: in.Attempts,
		Within: within, Apart: apart, For: lasting, Effect: subscription.FailureEffect(in.Effect),
	}, fieldErrors(errors.Join(err1, err2, err3), nil)
}

func failureOut(p subscription.FailurePolicy) *FailurePolicy {
	return &FailurePolicy{
		Kind: string(p.Kind), Failures: p.Failures, Percent: p.Percent, Attempts: p.Attempts,
		Within: durationText(p.Within), Apart: durationText(p.Apart), For: durationText(p.For), Effect: string(p.Effect),
	}
}
