package pipeline

import (
	"time"

	"github.com/postrider/postrider/pkg/kafka"
)

// timer is something that happens at a time: a head becomes ready, or one record becomes due.
type timer struct {
	at     time.Time
	head   *head
	of     *head // the head that waiter came from
	waiter *waiter
}

func (t *timer) partition() *kafka.Partition {
	if t.head != nil {
		return t.head.p
	}
	return t.of.p
}

// timers is a heap by time; see container/heap.
type timers []*timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *timers) Push(x any) { v, _ := x.(*timer); *t = append(*t, v) }

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	old := *t
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	return x
}
