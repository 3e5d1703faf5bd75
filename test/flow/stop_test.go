package flow

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// stopWithin is what the design promises: a disabled subscription stops that long after the acknowledged change.
const stopWithin = 2 * time.Second

// A deliverer that the registry's topic does not reach any more cannot know of a change, so it has to stop sending to
// everyone in time, while all of its other connections work. Afterwards it goes on where it was, without what was
// disabled.
func TestADisabledSubscriptionStopsWhileTheRegistryIsCutOff(t *testing.T) {
	for name, mode := range map[string]cutMode{"answers get lost": silence, "connections break": refuse} {
		t.Run(name, func(t *testing.T) {
			world.Run(t, func(t *testing.T, w *world.World) {
				e := newEndpoints(slow(time.Second))
				stops, stays := w.Subscribe("stops"), w.Subscribe("stays")
				start(w, e, "router")
				w.Conf.Deliverer.LaneConcurrency = 8
				cut := cutOff(w, mode)
				start(w, e, "deliverer")
				w.Send(160, "ev") // 20 s of work for each of the two lanes
				time.Sleep(5 * time.Second)
				require.NotEmpty(t, e.times(stops.URL))

				cut.on.Store(true)
				acknowledged := disable(w, stops)
				time.Sleep(10 * time.Second)
				require.Positive(t, cut.frames.Load(), "nothing was cut off")
				for _, url := range []string{stops.URL, stays.URL} {
					times := e.times(url)
					late := times[len(times)-1].Sub(acknowledged)
					t.Logf("%s: last request %s after the acknowledgement", url, late)
					require.LessOrEqual(t, late, stopWithin, url)
				}

				before := len(e.times(stops.URL))
				cut.on.Store(false)
				time.Sleep(time.Minute)
				require.Len(t, e.times(stops.URL), before, "it stays disabled")
				require.Len(t, e.times(stays.URL), 160)
				require.Equal(t, map[string]int{
					"delivered/delivered": 160 + before, "cancelled/disabled": 160 - before,
				}, verdicts(w.Outcomes()))
			})
		})
	}
}

// With the registry in reach a change takes effect within a moment, not within the bound.
func TestADisabledSubscriptionStopsAtOnce(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(slow(100 * time.Millisecond))
		s := w.Subscribe("stops")
		w.Conf.Deliverer.LaneConcurrency = 8
		start(w, e, "router", "deliverer")
		w.Send(300, "ev")
		time.Sleep(1500 * time.Millisecond)
		acknowledged := disable(w, s)
		time.Sleep(10 * time.Second)
		times := e.times(s.URL)
		require.Less(t, len(times), 300)
		require.LessOrEqual(t, times[len(times)-1].Sub(acknowledged), 300*time.Millisecond)
	})
}

// disable returns when the change was acknowledged.
func disable(w *world.World, s *subscription.Subscription) time.Time {
	w.T.Helper()
	changed := *w.Subscription(s.ID)
	changed.Disabled = true
	w.Put(registry.PutSubscription(&changed))
	return time.Now()
}

// cutMode is what becomes of a request to the registry.
type cutMode int

const (
	silence cutMode = iota // it gets lost
	refuse                 // its connection breaks
)

// cut stands between processes and the brokers and cuts off what belongs to the registry's topic, as long as it is on.
type cut struct {
	mode   cutMode
	on     atomic.Bool
	frames atomic.Int64 // cut off
	name   []byte       // of the topic, in requests for offsets
	id     []byte       // of the topic, in fetches
}

// cutOff puts a cut, which is off, before the connections of the processes that are started from now on.
func cutOff(w *world.World, mode cutMode) *cut {
	topic := w.Conf.Kafka.Prefix + topics.Registry
	id := w.Cluster.TopicInfo(topic).TopicID
	c := &cut{mode: mode, name: []byte(topic), id: id[:]}
	dial := w.Conf.Kafka.Dial
	w.Conf.Kafka.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &cutConn{Conn: conn, cut: c}, nil
	}
	return c
}

// cutConn is the registry's once a request on it has named the topic: later fetches of a session name nothing.
type cutConn struct {
	net.Conn
	cut   *cut
	owned atomic.Bool
}

var errCut = errors.New("cut off")

// Write takes one request: the client writes each in one go.
func (c *cutConn) Write(b []byte) (int, error) {
	// Keys 1 and 2 of the protocol are Fetch and ListOffsets; requests of other kinds may name any topic.
	if len(b) > 6 && b[4] == 0 && (b[5] == 1 || b[5] == 2) && (bytes.Contains(b, c.cut.name) || bytes.Contains(b, c.cut.id)) {
		c.owned.Store(true)
	}
	if !c.owned.Load() || !c.cut.on.Load() {
		return c.Conn.Write(b)
	}
	c.cut.frames.Add(1)
	if c.cut.mode == refuse {
		_ = c.Close()
		return 0, errCut
	}
	return len(b), nil
}

// Read leaves out what the brokers answer: a fetch that was under way when the cut came would bring the change.
func (c *cutConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.owned.Load() || !c.cut.on.Load() {
			return n, err
		}
		if c.cut.mode == refuse {
			_ = c.Close()
			return 0, errCut
		}
	}
}
