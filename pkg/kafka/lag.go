package kafka

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lagTimeout bounds what a scrape waits for the brokers: scrapes give up after 10 s by default.
const lagTimeout = 3 * time.Second

// lags are the metrics of how far groups are behind. They are found out when somebody asks: what nobody scrapes costs nothing.
type lags struct {
	records, oldest *prometheus.Desc

	mu     sync.Mutex
	groups []*Group
}

func newLags() *lags {
	return &lags{
		records: prometheus.NewDesc("postrider_group_lag_records",
			"Records between the commit and the end of a partition that this member owns.", []string{"group", "topic", "partition"}, nil),
		oldest: prometheus.NewDesc("postrider_group_oldest_unfinished_seconds",
			"Age of the oldest record that this member has read and not finished, 0 if there is none.", []string{"group"}, nil),
	}
}

// Describe implements [prometheus.Collector].
func (l *lags) Describe(ch chan<- *prometheus.Desc) {
	ch <- l.records
	ch <- l.oldest
}

// Collect implements [prometheus.Collector]. Where the brokers do not answer in time there is no lag.
func (l *lags) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	groups := slices.Clone(l.groups)
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
	defer cancel()
	for _, g := range groups {
		owned := g.all()
		ch <- prometheus.MustNewConstMetric(l.oldest, prometheus.GaugeValue, oldest(owned, time.Now()).Seconds(), g.opts.Name)
		for _, p := range g.behind(ctx, owned) {
			ch <- prometheus.MustNewConstMetric(l.records, prometheus.GaugeValue, float64(p.records), g.opts.Name, p.Topic, strconv.Itoa(int(p.ID)))
		}
	}
}

// add counts a group in until the returned function is called.
func (l *lags) add(g *Group) (remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups = append(l.groups, g)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.groups = slices.DeleteFunc(l.groups, func(other *Group) bool { return other == g })
	}
}

func oldest(ps []*Partition, now time.Time) (age time.Duration) {
	for _, p := range ps {
		if t := p.tracker.Load(); t != nil {
			age = max(age, p.marks.age(t.Position(), t.InFlight() > 0, now))
		}
	}
	return age
}

type behind struct {
	*Partition
	records int64
}

// behind asks the brokers for the ends of the partitions: a partition that is paused has not heard of its own for long.
func (g *Group) behind(ctx context.Context, owned []*Partition) (out []behind) {
	var topics []string
	for _, p := range owned {
		topics = append(topics, p.Topic)
	}
	if slices.Sort(topics); len(topics) == 0 {
		return nil // no topics would be all of them
	}
	ends, err := g.admin.ListCommittedOffsets(ctx, slices.Compact(topics)...)
	if err != nil {
		g.opts.Log.Warn("asking for the ends of partitions", "group", g.opts.Name, "error", err)
	}
	for _, p := range owned {
		end, ok := ends.Lookup(p.Topic, p.ID)
		if t := p.tracker.Load(); ok && end.Err == nil && t != nil {
			out = append(out, behind{p, max(0, end.Offset-t.Position())})
		}
	}
	return out
}

// markEvery is how precisely the age of a record is known.
const markEvery = time.Second

// marks remember when the records of a partition were written, for the oldest that is not finished: one mark for a second's,
// and none below that record. There are at most as many as offsets in flight.
type marks struct {
	mu   sync.Mutex
	list []mark // ascending by offset
}

type mark struct {
	offset int64
	at     time.Time
}

// add remembers records that were read, with position as the lowest that is not finished.
func (m *marks) add(position int64, records []*Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(position)
	for _, r := range records {
		if n := len(m.list); n == 0 || r.Timestamp.Sub(m.list[n-1].at).Abs() >= markEvery {
			m.list = append(m.list, mark{r.Offset, r.Timestamp})
		}
	}
}

// age returns how old the record at position is, the lowest that is not finished, if there is any in flight.
func (m *marks) age(position int64, inFlight bool, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(position)
	if !inFlight || len(m.list) == 0 {
		return 0
	}
	return max(0, now.Sub(m.list[0].at))
}

// forget drops the marks before that of position. Call it with mu held.
func (m *marks) forget(position int64) {
	i, found := slices.BinarySearchFunc(m.list, position, func(k mark, at int64) int { return int(k.offset - at) })
	if !found {
		i-- // the last one below it
	}
	if i > 0 {
		m.list = slices.Delete(m.list, 0, i)
	}
}

// GroupState is how one member of a group does.
type GroupState struct {
	// Partitions are those that it owns; Halted stand still, see [Group.Halted].
	Partitions, Halted int
	// Unfinished are the records that were read and are not finished; Oldest is the age of the oldest of them.
	Unfinished int
	Oldest     time.Duration
}

// State says how this member does, from memory: no broker is asked.
func (g *Group) State(now time.Time) GroupState {
	owned := g.all()
	s := GroupState{Partitions: len(owned), Halted: len(g.Halted()), Oldest: oldest(owned, now)}
	for _, p := range owned {
		if t := p.tracker.Load(); t != nil {
			s.Unfinished += t.InFlight()
		}
	}
	return s
}
