package kafka_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/kafka"
)

// Records of many owners wait for the same partition. The end of one's context ends nothing: not the others' records, and not its own,
// which is in their midst.
func TestTheEndOfOneContextEndsNoRecord(t *testing.T) {
	inGroupWorld(t, func(t *testing.T, w *groupWorld) {
		out, err := kafka.NewProducer(w.conf, kafka.ProducerOptions{Linger: 10 * time.Second})
		require.NoError(t, err)
		ended := make(chan error, 2)
		promise := func(_ *kafka.Record, err error) { ended <- err }
		revoked, revoke := context.WithCancel(t.Context())
		out.Produce(revoked, &kafka.Record{Topic: work, Value: []byte("one")}, promise)
		out.Produce(t.Context(), &kafka.Record{Topic: work, Value: []byte("other")}, promise)
		synctest.Wait()
		revoke()
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
		require.NoError(t, out.Close(t.Context()))
	})
}

// A record that finds no room ends with its context, alone.
func TestWhatFindsNoRoomEndsWithItsContext(t *testing.T) {
	inGroupWorld(t, func(t *testing.T, w *groupWorld) {
		w.conf.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		out, err := kafka.NewProducer(w.conf, kafka.ProducerOptions{})
		require.NoError(t, err)
		var failed atomic.Int64
		for range 100_000 {
			out.Produce(t.Context(), &kafka.Record{Topic: work}, func(*kafka.Record, error) { failed.Add(1) })
		}
		limited, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		at, ended := time.Now(), make(chan error, 1)
		out.Produce(limited, &kafka.Record{Topic: work}, func(_ *kafka.Record, err error) { ended <- err })
		require.ErrorIs(t, <-ended, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(at))
		out.Produce(limited, &kafka.Record{Topic: work}, func(_ *kafka.Record, err error) { ended <- err })
		require.ErrorIs(t, <-ended, context.DeadlineExceeded, "it has ended before")
		require.Zero(t, failed.Load())
		now, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, out.Close(now))
		synctest.Wait()
		require.EqualValues(t, 100_000, failed.Load())
	})
}
