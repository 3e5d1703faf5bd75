package backoff

import "time"

// MaxHops is the most tiers a record passes through on its way to any due time up to 28 h away, if every hop is on
// time: the remainder after the 24 h tier is at most 4 h, and below 24 h the worst case is 3 × 6 h + 5 × 1 h +
// 5 × 10 m + 4 × 2 m + 3 × 30 s + 5 × 5 s + 4 × 1 s.
const MaxHops = 29

// tier is a retry topic: its wait and the name that stands in the topic's name.
type tier struct {
	wait time.Duration
	name string
}

// tiers grow by factors of 3 to 6, so that a hop is rare and exact: few topics, and at most five hops in each.
var tiers = [...]tier{ //nolint:gochecknoglobals // a table
	{time.Second, "1s"},
	{5 * time.Second, "5s"},
	{30 * time.Second, "30s"},
	{2 * time.Minute, "2m"},
	{10 * time.Minute, "10m"},
	{time.Hour, "1h"},
	{6 * time.Hour, "6h"},
	{24 * time.Hour, "24h"},
}

// Tiers lists the waits of the retry tiers, shortest first.
func Tiers() []time.Duration {
	out := make([]time.Duration, len(tiers))
	for i, t := range tiers {
		out[i] = t.wait
	}
	return out
}

// TierName is the name of a tier in its topic's name, "10m" for ten minutes; empty for what is no tier.
func TierName(wait time.Duration) string {
	for _, t := range tiers {
		if t.wait == wait {
			return t.name
		}
	}
	return ""
}

// Tier returns the largest tier that is no longer than remaining, and the shortest one if all are.
func Tier(remaining time.Duration) time.Duration {
	best := tiers[0].wait
	for _, t := range tiers[1:] {
		if t.wait <= remaining {
			best = t.wait
		}
	}
	return best
}

// Ready says which tier a record that is due at due waits in next, written now, and when it may leave it: after the
// tier's wait, but never after due. Records with at least a second left that are written to a tier one after the
// other become ready in that order, so only the head of a tier's partition has to be looked at; those with less left
// are best waited out in memory, and in the shortest tier hold up its head by less than that second.
func Ready(due, now time.Time) (wait time.Duration, ready time.Time) {
	wait = Tier(due.Sub(now))
	if ready = now.Add(wait); ready.After(due) {
		ready = due
	}
	return wait, ready
}
