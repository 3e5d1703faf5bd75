package subscription

import (
	"fmt"
	"math"
	"time"
)

// Limits of a [RetryPolicy]. Together they make every schedule end: no policy gives more than MaxRetryTries tries,
// whatever it leaves unset.
const (
	MaxRetryTries    = 100                 // tries, the first included
	MaxRetryList     = 50                  // entries
	MinRetryInterval = time.Second         // the smallest retry tier
	MaxRetryInterval = 7 * 24 * time.Hour  // below the retention of the deliveries topic, 9 d
	MaxRetryAge      = 30 * 24 * time.Hour // the retention of dead letters
	MaxRetryFactor   = 10
)

// Validate says which field of p is wrong and what it allows. Fields that the kind does not use have to be unset, so
// that a policy never promises what it does not do.
func (p RetryPolicy) Validate() error {
	var err error
	switch p.Kind {
	case RetryFixed:
		err = p.validateFixed()
	case RetryList:
		err = p.validateList()
	case RetryExponential:
		err = p.validateExponential()
	default:
		err = fmt.Errorf("kind: %q, want fixed, list or exponential", p.Kind)
	}
	if err != nil {
		return err
	}
	switch p.Jitter {
	case "", JitterNone, JitterFull, JitterProportional:
	default:
		return fmt.Errorf("jitter: %q, want none, full or proportional", p.Jitter)
	}
	if p.MaxTries < 0 || p.MaxTries > MaxRetryTries {
		return fmt.Errorf("maxTries: %d, want 1 to %d, or 0 for no limit of its own", p.MaxTries, MaxRetryTries)
	}
	if p.MaxAge < 0 || p.MaxAge.Std() > MaxRetryAge {
		return fmt.Errorf("maxAge: %s, want 0 (no limit) to %s", p.MaxAge, MaxRetryAge)
	}
	if p.Kind != RetryList && p.MaxTries == 0 && p.MaxAge == 0 {
		return fmt.Errorf("maxTries: 0 without maxAge, want one of them for kind %s", p.Kind)
	}
	return nil
}

func (p RetryPolicy) validateFixed() error {
	switch {
	case p.Factor != 0:
		return fmt.Errorf("factor: a fixed policy has none")
	case len(p.List) != 0:
		return fmt.Errorf("list: a fixed policy has none")
	}
	if err := checkInterval("interval", p.Interval); err != nil {
		return err
	}
	return p.checkMaxInterval(p.Interval)
}

func (p RetryPolicy) validateExponential() error {
	if len(p.List) != 0 {
		return fmt.Errorf("list: an exponential policy has none")
	}
	if math.IsNaN(p.Factor) || p.Factor != 0 && (p.Factor < 1 || p.Factor > MaxRetryFactor) {
		return fmt.Errorf("factor: %v, want 1 to %d, or 0 for 2", p.Factor, MaxRetryFactor)
	}
	if err := checkInterval("interval", p.Interval); err != nil {
		return err
	}
	return p.checkMaxInterval(p.Interval)
}

func (p RetryPolicy) validateList() error {
	switch {
	case p.Factor != 0:
		return fmt.Errorf("factor: a list policy has none")
	case p.Interval != 0:
		return fmt.Errorf("interval: a list policy has none")
	case len(p.List) == 0 || len(p.List) > MaxRetryList:
		return fmt.Errorf("list: %d entries, want 1 to %d", len(p.List), MaxRetryList)
	}
	var longest Duration
	for i, d := range p.List {
		if err := checkInterval(fmt.Sprintf("list[%d]", i), d); err != nil {
			return err
		}
		longest = max(longest, d)
	}
	return p.checkMaxInterval(longest)
}

// checkMaxInterval refuses a cap that would shorten the delays that the policy names.
func (p RetryPolicy) checkMaxInterval(longest Duration) error {
	if p.MaxInterval == 0 {
		return nil
	}
	if p.MaxInterval < longest || p.MaxInterval.Std() > MaxRetryInterval {
		return fmt.Errorf("maxInterval: %s, want %s to %s, or 0 for %s",
			p.MaxInterval, longest, MaxRetryInterval, MaxRetryInterval)
	}
	return nil
}

func checkInterval(field string, d Duration) error {
	if d.Std() < MinRetryInterval || d.Std() > MaxRetryInterval {
		return fmt.Errorf("%s: %s, want %s to %s", field, d, MinRetryInterval, MaxRetryInterval)
	}
	return nil
}
