package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/kafka"
)

const work = "work"

// groupWorld is a broker with one topic of one partition, in a bubble of virtual time.
type groupWorld struct {
	t      *testing.T
	conf   kafka.Config
	client *kgo.Client
}

func inGroupWorld(t *testing.T, fn func(t *testing.T, w *groupWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := &kfake.VirtualNetwork{}
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen),
			kfake.SeedTopics(1, work))
		require.NoError(t, err)
		defer cluster.Close()
		w := &groupWorld{t: t, conf: kafka.Config{
			Brokers: []string{"localhost:9092"}, Dial: network.DialContext, SessionTimeout: 6 * time.Second,
		}}
		w.client, err = kafka.NewClient(w.conf)
		require.NoError(t, err)
		defer w.client.Close()
		fn(t, w)
	})
}

func (w *groupWorld) send(n int) {
	w.t.Helper()
	for range n {
		require.NoError(w.t, w.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: work, Value: []byte("v")}).FirstErr())
	}
}

func (w *groupWorld) committed() int64 {
	w.t.Helper()
	offsets, err := kadm.NewClient(w.client).FetchOffsets(w.t.Context(), "g")
	require.NoError(w.t, err)
	o, ok := offsets.Lookup(work, 0)
	if !ok {
		return -1
	}
	return o.At
}

// join runs a member until the returned function is called.
func (w *groupWorld) join(h kafka.Handler) (leave func() error) {
	w.t.Helper()
	return w.joinWith(kafka.GroupOptions{}, h)
}

func (w *groupWorld) joinWith(opts kafka.GroupOptions, h kafka.Handler) (leave func() error) {
	w.t.Helper()
	opts.Name, opts.Topics = "g", []string{work}
	g, err := kafka.NewGroup(w.conf, opts, h)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return sync.OnceValue(func() error { cancel(); return <-done })
}

// handler is a stage made of functions; nil ones do nothing.
type handler struct {
	assign  func(p *kafka.Partition) error
	records func(p *kafka.Partition, rs []*kafka.Record)
	revoke  func(ps []*kafka.Partition)
	lost    func(ps []*kafka.Partition)
}

func (h handler) Assign(p *kafka.Partition) error {
	if h.assign == nil {
		return nil
	}
	return h.assign(p)
}

func (h handler) Records(p *kafka.Partition, rs []*kafka.Record) {
	if h.records != nil {
		h.records(p, rs)
	}
}

func (h handler) Revoke(ps []*kafka.Partition) {
	if h.revoke != nil {
		h.revoke(ps)
	}
}

func (h handler) Lost(ps []*kafka.Partition) {
	if h.lost != nil {
		h.lost(ps)
	}
}

// A member that leaves heartbeats while it drains: what the drain finished is committed, however close the drain comes to
// the session's end.
func TestDrainAsLongAsTheSessionIsCommitted(t *testing.T) {
	inGroupWorld(t, func(t *testing.T, w *groupWorld) {
		w.send(3)
		var mu sync.Mutex
		var got []*kafka.Record
		leave := w.join(handler{
			records: func(_ *kafka.Partition, rs []*kafka.Record) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, rs...)
			},
			revoke: func(ps []*kafka.Partition) {
				time.Sleep(7 * time.Second)
				for _, r := range got {
					ps[0].Finish(r.Offset)
				}
			},
			lost: func([]*kafka.Partition) { t.Error("the member was thrown out while it drained") },
		})
		time.Sleep(5 * time.Second)
		require.NoError(t, leave())
		require.Len(t, got, 3)
		require.EqualValues(t, 3, w.committed())
	})
}

// A broker that collects answers a few times a second, and no record waits for longer than that.
func TestBrokersCollect(t *testing.T) {
	for name, tc := range map[string]struct{ collect, late time.Duration }{
		"not at all": {0, 0},
		"for 200 ms": {200 * time.Millisecond, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inGroupWorld(t, func(t *testing.T, w *groupWorld) {
				const records = 100
				calls, got := 0, 0
				leave := w.joinWith(kafka.GroupOptions{Collect: tc.collect}, handler{records: func(_ *kafka.Partition, rs []*kafka.Record) {
					calls, got = calls+1, got+len(rs)
					require.LessOrEqual(t, time.Since(rs[0].Timestamp), tc.late+10*time.Millisecond)
				}})
				time.Sleep(5 * time.Second)
				for range records {
					w.send(1)
					time.Sleep(20 * time.Millisecond)
				}
				time.Sleep(time.Second)
				require.NoError(t, leave())
				require.Equal(t, records, got)
				if tc.collect == 0 {
					require.Greater(t, calls, records/2)
					return
				}
				require.LessOrEqual(t, calls, records*20/200+2)
			})
		})
	}
}

// A partition that is taken away while it is prepared ends the preparation first; the handler never has both at once.
func TestRevokeWaitsForAssign(t *testing.T) {
	inGroupWorld(t, func(t *testing.T, w *groupWorld) {
		var events []string
		leave := w.join(handler{
			assign: func(p *kafka.Partition) error {
				events = append(events, "assign")
				<-p.Context().Done()
				require.ErrorIs(t, context.Cause(p.Context()), kafka.ErrRevoked)
				time.Sleep(time.Second)
				events = append(events, "assigned")
				return errors.New("cut off")
			},
			records: func(*kafka.Partition, []*kafka.Record) { t.Error("records of a partition that was not prepared") },
			revoke:  func([]*kafka.Partition) { events = append(events, "revoke") },
		})
		time.Sleep(5 * time.Second)
		require.NoError(t, leave())
		require.Equal(t, []string{"assign", "assigned", "revoke"}, events)
	})
}

// The last commit of a held partition, of one read again, and the offsets above the commit: nothing is repeated but what
// was not finished, and nothing is skipped.
func TestNextOwnerGetsWhatIsNotFinished(t *testing.T) {
	inGroupWorld(t, func(t *testing.T, w *groupWorld) {
		w.send(5)
		leave := w.join(handler{records: func(p *kafka.Partition, rs []*kafka.Record) {
			for _, r := range rs {
				if r.Offset != 1 && r.Offset != 3 {
					p.Finish(r.Offset)
				}
			}
			p.Hold(kafka.HoldBacklog)
		}})
		time.Sleep(5 * time.Second)
		require.NoError(t, leave())
		require.EqualValues(t, 1, w.committed())
		w.send(1)
		var got []int64
		leave = w.join(handler{records: func(p *kafka.Partition, rs []*kafka.Record) {
			for _, r := range rs {
				got = append(got, r.Offset)
				p.Finish(r.Offset)
			}
		}})
		time.Sleep(5 * time.Second)
		require.NoError(t, leave())
		require.Equal(t, []int64{1, 3, 5}, got)
		require.EqualValues(t, 6, w.committed())
	})
}

// What is of a newer release stays in the log, and what came before and with it is not repeated: the partition stands still and is
// committed as far as it goes, until another owner understands it.
func TestAHaltedPartitionIsTheNextOwners(t *testing.T) {
	inGroupWorld(t, func(t *testing.T, w *groupWorld) {
		w.send(4)
		var halted []*kafka.Partition
		reads := 0
		leave := w.join(handler{records: func(p *kafka.Partition, rs []*kafka.Record) {
			halted = append(halted, p)
			for _, r := range rs {
				reads++
				if r.Offset == 2 {
					p.Halt(form.Check(2, 1))
				} else {
					p.Finish(r.Offset)
				}
			}
		}})
		time.Sleep(5 * time.Second)
		w.send(1)
		time.Sleep(5 * time.Second)
		require.Equal(t, 4, reads, "nothing is read of a partition that stands still")
		require.Contains(t, halted[0].Halted(), "record version 2 is newer")
		require.EqualValues(t, 2, w.committed())
		require.NoError(t, leave())
		var got []int64
		leave = w.join(handler{records: func(p *kafka.Partition, rs []*kafka.Record) {
			for _, r := range rs {
				got = append(got, r.Offset)
				p.Finish(r.Offset)
			}
		}})
		time.Sleep(5 * time.Second)
		require.NoError(t, leave())
		require.Equal(t, []int64{2, 4}, got)
		require.EqualValues(t, 5, w.committed())
	})
}

// A partition whose state is of a newer release is not read, and its member goes on with others, for as long as it likes.
func TestAPartitionThatIsPreparedForANewerReleaseIsHalted(t *testing.T) {
	inGroupWorld(t, func(t *testing.T, w *groupWorld) {
		w.send(1)
		var tried []*kafka.Partition
		leave := w.join(handler{
			assign: func(p *kafka.Partition) error {
				tried = append(tried, p)
				return fmt.Errorf("reading state: %w", form.Check(3, 1))
			},
			records: func(*kafka.Partition, []*kafka.Record) { t.Error("it was read") },
		})
		time.Sleep(10 * time.Minute)
		require.Len(t, tried, 1)
		require.Contains(t, tried[0].Halted(), "reading state: record version 3 is newer")
		require.NoError(t, leave())
		require.Zero(t, w.committed())
	})
}

// Transactions leave markers in the log, and records that nobody gets if they are aborted: the commit goes past both.
func TestCommitReachesTheEndBehindTransactions(t *testing.T) {
	inGroupWorld(t, func(t *testing.T, w *groupWorld) {
		writer, err := kafka.NewClient(w.conf, kgo.TransactionalID("upstream"))
		require.NoError(t, err)
		defer writer.Close()
		transact := func(end kgo.TransactionEndTry) {
			require.NoError(t, writer.BeginTransaction())
			require.NoError(t, writer.ProduceSync(t.Context(), &kgo.Record{Topic: work, Value: []byte("v")}).FirstErr())
			require.NoError(t, writer.EndTransaction(t.Context(), end))
		}
		transact(kgo.TryCommit) // 0, marker 1
		transact(kgo.TryAbort)  // 2, marker 3
		transact(kgo.TryCommit) // 4, marker 5
		var got []int64
		finish := make(chan int64, 2)
		leave := w.join(handler{records: func(p *kafka.Partition, rs []*kafka.Record) {
			for _, r := range rs {
				got = append(got, r.Offset)
			}
			go func() {
				for o := range finish {
					p.Finish(o)
				}
			}()
		}})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, []int64{0, 4}, got)
		require.EqualValues(t, -1, w.committed(), "what is in flight is not passed over")
		finish <- 0
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 4, w.committed())
		finish <- 4
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 6, w.committed())
		close(finish)
		require.NoError(t, leave())
	})
}
