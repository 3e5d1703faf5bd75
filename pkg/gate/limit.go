package gate

import "time"

// Limit says how many attempts of one endpoint may be in flight: what it has shown that it can take. It begins small and
// grows with every answer while deliveries wait, so that it doubles with every round, and past the size at which it last had
// to give way by one a round (slow start and congestion avoidance, RFC 5681, section 3.1). It gives way by a tenth when
// answers take three times as long as usual and a second more, and by half when they do not come at all.
//
// It is told the time and is not safe for concurrent use.
type Limit struct {
	most      float64
	value     float64
	threshold float64
	// recent is a moving average of the time that an answer takes, in seconds, usual the least that it was. An endpoint that
	// has become slower has a new usual time once next to nothing is in flight: then it is not the number that slows it.
	recent, usual float64
	answers       int       // up to memory
	cut           time.Time // when it last gave way
	silent        bool
}

// firstLimit is where a limit begins: what an endpoint that never answers holds.
const firstLimit = 4

const (
	// memory is over how many answers the average goes. Answers of endpoints that take very different times, from nothing to
	// twice the mean or exponentially distributed, average over as many to less than what counts as slow.
	memory = 32
	// few are the first answers, to which the endpoint is usual whatever it does.
	few = 8
	// slow is how many times the usual time is too long.
	slow = 3
	// alone is a limit that cannot be what slows an endpoint.
	alone = 2
	// slack is by how much answers may always be late, in seconds. Less may have any reason, such as a machine that is busy,
	// on either side: to give way to it costs throughput and helps nobody.
	slack = 1.0
	// minCut is the shortest time between two reductions.
	minCut = 100 * time.Millisecond
)

// NewLimit returns a limit that never exceeds most, which is at least 1.
func NewLimit(most int) Limit {
	return Limit{most: float64(most), value: min(firstLimit, float64(most)), threshold: float64(most)}
}

// Value returns the limit, from 1.
func (l *Limit) Value() int { return int(l.value) }

// Clears reports whether those in flight will have made room for all that wait within the given time, by the time that an
// answer takes. Before the first answer nobody knows.
func (l *Limit) Clears(waiting, inFlight int, within time.Duration) bool {
	return l.answers > 0 && float64(waiting)*l.recent <= within.Seconds()*float64(inFlight)
}

// Recent is what the latest answers took on average; 0 before the first.
func (l *Limit) Recent() time.Duration { return time.Duration(l.recent * float64(time.Second)) }

// Usual is the least that answers took on average, but for an endpoint that has become slower; 0 before the first.
func (l *Limit) Usual() time.Duration { return time.Duration(l.usual * float64(time.Second)) }

// Answered notes an answer that says the endpoint is well, after how long it came, and whether deliveries are waiting: a
// limit that nobody needs does not grow.
func (l *Limit) Answered(took time.Duration, waiting bool, now time.Time) {
	l.silent = false
	l.answers = min(l.answers+1, memory)
	l.recent += (took.Seconds() - l.recent) / float64(l.answers)
	if l.recent < l.usual || l.value <= alone || l.answers <= few {
		l.usual = l.recent
	}
	switch {
	case l.recent > slow*l.usual+slack:
		l.giveWay(0.9, now)
	case !waiting:
	case l.value < l.threshold:
		l.value = min(l.value+1, l.most)
	default:
		l.value = min(l.value+1/l.value, l.most)
	}
}

// Silent notes an attempt that had no answer in time.
func (l *Limit) Silent(now time.Time) {
	l.silent = true
	l.giveWay(0.5, now)
}

// IsSilent reports whether there was no answer since the last attempt that had none in time.
func (l *Limit) IsSilent() bool { return l.silent }

// Restart begins anew with one: the endpoint asked for less, or is back.
func (l *Limit) Restart(now time.Time) {
	l.threshold = max(l.value/2, 2)
	l.value, l.recent, l.cut, l.silent = 1, l.usual, now, false
}

// giveWay multiplies the limit, at most once in the time that an answer takes: the answers to what was sent before say
// the same again.
func (l *Limit) giveWay(by float64, now time.Time) {
	if now.Sub(l.cut) < max(minCut, time.Duration(l.recent*float64(time.Second))) {
		return
	}
	l.value, l.cut = max(1, l.value*by), now
	l.threshold = max(l.value, 2)
}
