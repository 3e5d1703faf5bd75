package conformance

import (
	"context"
	"net"
	"time"

	"github.com/postrider/postrider/pkg/kafka"
)

// step is how exact the histories are. How long a producer waits for company depends on which of its goroutines comes first,
// so that a try would start some 2 to 15 ms after it was asked for. What is written to Kafka is held up until the next full
// step, and so everything that follows from it begins at one. What came meanwhile and stood behind it goes with it: whether two
// records share a request depends on the goroutines too.
const step = 50 * time.Millisecond

// inStep holds up produce requests.
func inStep(dial kafka.DialFunc) kafka.DialFunc {
	return func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := dial(ctx, network, host)
		return &stepConn{Conn: conn}, err
	}
}

type stepConn struct {
	net.Conn
	last time.Time // when the last produce request went
}

// Write takes one request: the client writes each in one go, one after the other. Key 0 of the protocol is Produce.
func (c *stepConn) Write(b []byte) (int, error) {
	if len(b) > 6 && b[4] == 0 && b[5] == 0 && !c.last.Equal(time.Now()) {
		c.last = time.Now().Truncate(step).Add(step)
		time.Sleep(time.Until(c.last))
	}
	return c.Conn.Write(b)
}
