package subscription

import (
	"fmt"
	"time"
)

// FailureKind is what a failure policy looks at.
type FailureKind string

// Failure kinds.
const (
	// FailureNever: however often it fails, nothing follows.
	FailureNever FailureKind = "never"
	// FailureConsecutive: Failures failed attempts in a row; with Within, all of them in that time.
	FailureConsecutive FailureKind = "consecutive"
	// FailureRate: Percent of at least Attempts attempts within Within failed.
	FailureRate FailureKind = "rate"
	// FailureLasting: every attempt failed for the time For, which starts when Failures attempts in a row failed within
	// Within, the last of them at least Apart after the first.
	FailureLasting FailureKind = "lasting"
)

// FailureEffect is what follows when a failure policy's measure is full.
type FailureEffect string

// Failure effects.
const (
	// EffectDisable disables the subscription. Who may change it enables it again.
	EffectDisable FailureEffect = "disable"
	// EffectLock disables the subscription, and only an operator enables it again.
	EffectLock FailureEffect = "lock"
	// EffectSuspendRetries ends retries until an attempt succeeds: failed deliveries are not tried again, and those that
	// wait for a retry end when they come due. First tries go on.
	EffectSuspendRetries FailureEffect = "suspend_retries"
)

// FailurePolicy says what follows when a subscription's attempts fail, over all its deliveries. Every attempt that is no
// success counts as a failure, but for those that ended at Postrider's own forward proxy. Enabling the subscription starts all counts anew.
type FailurePolicy struct {
	Kind FailureKind `json:"kind" yaml:"kind"`
	// Failures are failed attempts in a row, of consecutive and lasting.
	Failures int `json:"failures,omitempty" yaml:"failures"`
	// Percent and Attempts are of rate.
	Percent  int `json:"percent,omitempty" yaml:"percent"`
	Attempts int `json:"attempts,omitempty" yaml:"attempts"`
	// Within is the time that is looked at; rate moves on in steps of a sixtieth of it. Consecutive has none by default.
	Within Duration `json:"within,omitempty" yaml:"within"`
	// Apart and For are of lasting.
	Apart Duration `json:"apart,omitempty" yaml:"apart"`
	For   Duration `json:"for,omitempty" yaml:"for"`
	// Effect is disable if empty.
	Effect FailureEffect `json:"effect,omitempty" yaml:"effect"`
}

// Limits of failure policies.
const (
	MaxFailures       = 10_000    // in a row
	MaxFailuresWithin = 100       // in a row, where their times count
	MaxRateAttempts   = 1_000_000 // of a rate
	MinFailureTime    = time.Minute
	MaxFailureTime    = 30 * 24 * time.Hour
	MaxRateTime       = 24 * time.Hour
)

// Does reports whether the policy has the effect. A nil policy has none.
func (p *FailurePolicy) Does(effect FailureEffect) bool {
	if p == nil || p.Kind == FailureNever {
		return false
	}
	return p.Effect == effect || p.Effect == "" && effect == EffectDisable
}

// Validate returns an error that names the first bad field and what is allowed.
func (p FailurePolicy) Validate() error {
	switch p.Effect {
	case "", EffectDisable, EffectLock, EffectSuspendRetries:
	default:
		return fmt.Errorf("effect: %q, want %s, %s or %s", p.Effect, EffectDisable, EffectLock, EffectSuspendRetries)
	}
	switch p.Kind {
	case FailureNever:
		return p.only()
	case FailureConsecutive:
		return p.validateConsecutive()
	case FailureRate:
		return p.validateRate()
	case FailureLasting:
		return p.validateLasting()
	}
	return fmt.Errorf("kind: %q, want %s, %s, %s or %s", p.Kind, FailureNever, FailureConsecutive, FailureRate, FailureLasting)
}

func (p FailurePolicy) validateConsecutive() error {
	most := MaxFailures
	if p.Within != 0 {
		most = MaxFailuresWithin
		if err := checkFailureTime("within", p.Within, MaxFailureTime); err != nil {
			return err
		}
	}
	if p.Failures < 1 || p.Failures > most {
		return fmt.Errorf("failures: %d, want 1 to %d", p.Failures, most)
	}
	return p.only("failures", "within", "effect")
}

func (p FailurePolicy) validateRate() error {
	switch {
	case p.Percent < 1 || p.Percent > 100:
		return fmt.Errorf("percent: %d, want 1 to 100", p.Percent)
	case p.Attempts < 1 || p.Attempts > MaxRateAttempts:
		return fmt.Errorf("attempts: %d, want 1 to %d", p.Attempts, MaxRateAttempts)
	case p.Effect == EffectSuspendRetries:
		return fmt.Errorf("effect: a rate does not fall by single successes, want %s or %s", EffectDisable, EffectLock)
	}
	if err := checkFailureTime("within", p.Within, MaxRateTime); err != nil {
		return err
	}
	return p.only("percent", "attempts", "within", "effect")
}

func (p FailurePolicy) validateLasting() error {
	if p.Failures < 1 || p.Failures > MaxFailuresWithin {
		return fmt.Errorf("failures: %d, want 1 to %d", p.Failures, MaxFailuresWithin)
	}
	if err := checkFailureTime("for", p.For, MaxFailureTime); err != nil {
		return err
	}
	if err := checkFailureTime("within", p.Within, MaxFailureTime); err != nil {
		return err
	}
	if p.Apart < 0 || p.Apart > p.Within {
		return fmt.Errorf("apart: %s, want 0s to within, which is %s", p.Apart, p.Within)
	}
	return p.only("failures", "for", "within", "apart", "effect")
}

// only refuses the fields that the kind does not have.
func (p FailurePolicy) only(fields ...string) error {
	has := make(map[string]bool, len(fields))
	for _, f := range fields {
		has[f] = true
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"failures", p.Failures != 0},
		{"percent", p.Percent != 0},
		{"attempts", p.Attempts != 0},
		{"within", p.Within != 0},
		{"apart", p.Apart != 0},
		{"for", p.For != 0},
		{"effect", p.Effect != ""},
	} {
		if f.set && !has[f.name] {
			return fmt.Errorf("%s: a policy of kind %s has none", f.name, p.Kind)
		}
	}
	return nil
}

func checkFailureTime(field string, d Duration, most time.Duration) error {
	if d.Std() < MinFailureTime || d.Std() > most {
		return fmt.Errorf("%s: %s, want %s to %s", field, d, MinFailureTime, most)
	}
	return nil
}
