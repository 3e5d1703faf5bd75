package broker

import (
	"context"
	"net"
	"sync"
)

// frozenNetwork is a network that can stand still: writes block, and nothing that was read comes through, as for a
// process that was stopped.
type frozenNetwork struct {
	mu   sync.Mutex
	open chan struct{} // closed while the network moves
}

func newFrozenNetwork() *frozenNetwork {
	n := &frozenNetwork{open: make(chan struct{})}
	close(n.open)
	return n
}

func (n *frozenNetwork) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open = make(chan struct{})
}

func (n *frozenNetwork) thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.open)
}

func (n *frozenNetwork) wait() {
	n.mu.Lock()
	open := n.open
	n.mu.Unlock()
	<-open
}

func (n *frozenNetwork) dial(ctx context.Context, network, host string) (net.Conn, error) {
	n.wait()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return &frozenConn{Conn: conn, network: n}, nil
}

type frozenConn struct {
	net.Conn
	network *frozenNetwork
}

func (c *frozenConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.network.wait()
	return n, err
}

func (c *frozenConn) Write(b []byte) (int, error) {
	c.network.wait()
	return c.Conn.Write(b)
}
