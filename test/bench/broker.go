package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider/test/internal/rig"
)

// newBroker is kfake, the broker of `postrider dev`, in a process of its own: what it costs shows on a line of its own, as
// Kafka's does.
func newBroker(o childOptions, _ *http.ServeMux) error {
	_, err := kfake.NewCluster(kfake.Ports(o.port))
	return err
}

// broker is that process.
type broker struct {
	*child
	address string
}

func startBroker(ctx context.Context, r *rig.Rig) (*broker, error) {
	port, err := rig.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, r.Dir, "broker", "--port", strconv.Itoa(port))
	return &broker{child: c, address: fmt.Sprintf("127.0.0.1:%d", port)}, err
}
