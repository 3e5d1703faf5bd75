package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/subscription"
)

// RetryPolicy says when a failed delivery is tried again and when it is given up. Durations are texts such as "1m30s".
type RetryPolicy struct {
	Kind        string   `json:"kind" enum:"fixed,list,exponential" doc:"fixed: interval between tries. list: the list's delays, then no more. exponential: interval × factor^n."`
	Interval    string   `json:"interval,omitempty" doc:"1s to 168h." example:"1m30s"`
	List        []string `json:"list,omitempty" maxItems:"50"`
	Factor      float64  `json:"factor,omitempty" doc:"1 to 10; 2 if left out."`
	MaxInterval string   `json:"maxInterval,omitempty"`
	Jitter      string   `json:"jitter,omitempty" enum:"none,full,proportional"`
	MaxTries    int      `json:"maxTries,omitempty" minimum:"0" maximum:"100" doc:"The first included."`
	MaxAge      string   `json:"maxAge,omitempty" doc:"From the first try to the last, at most 720h."`
}

// policy reads the durations. Whether the policy makes sense is for [subscription.RetryPolicy.Validate].
func (in *RetryPolicy) policy() (*subscription.RetryPolicy, error) {
	var errs []error
	read := func(field, text string) subscription.Duration {
		d, err := readDuration("retry."+field, text)
		errs = append(errs, err)
		return d
	}
	out := &subscription.RetryPolicy{
		Kind: subscription.RetryKind(in.Kind), Interval: read("interval", in.Interval), Factor: in.Factor,
		MaxInterval: read("maxInterval", in.MaxInterval), Jitter: subscription.Jitter(in.Jitter), MaxTries: in.MaxTries,
		MaxAge: read("maxAge", in.MaxAge),
	}
	for i, text := range in.List {
		out.List = append(out.List, read(fmt.Sprintf("list[%d]", i), text))
	}
	return out, fieldErrors(errors.Join(errs...), nil)
}

func retryOut(p subscription.RetryPolicy) *RetryPolicy {
	out := &RetryPolicy{
		Kind: string(p.Kind), Interval: durationText(p.Interval), Factor: p.Factor, MaxInterval: durationText(p.MaxInterval),
		Jitter: string(p.Jitter), MaxTries: p.MaxTries, MaxAge: durationText(p.MaxAge),
	}
	for _, d := range p.List {
		out.List = append(out.List, d.String())
	}
	return out
}

// readDuration reads a duration of a policy; an empty text is none.
func readDuration(field, text string) (subscription.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, &subscription.FieldError{
			Field: field, Detail: fmt.Sprintf("%q: want a number with a unit, such as 90s, 1m30s or 24h", text),
		}
	}
	return subscription.Duration(d), nil
}

// durationText is empty for none.
func durationText(d subscription.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
