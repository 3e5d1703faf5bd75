package kafkatest

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// Mechanism is how a client proves its user.
type Mechanism string

// The mechanisms that the clusters of this package can ask for.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
)

// SASL asks that clients log in.
type SASL struct {
	Mechanism Mechanism
	User      string
	Password  string
}

// Options describe a cluster. The zero value is one broker without TLS or SASL.
type Options struct {
	// Brokers is how many nodes the cluster has; 0 means 1. A cluster of three
	// survives the loss of one: it replicates thrice and wants two in sync.
	Brokers int
	// Properties are added to the server.properties of every broker and win over
	// the defaults of this package.
	Properties map[string]string
	// BrokerProperties do the same for single brokers, by index from 0.
	BrokerProperties map[int]map[string]string
	// TLS makes the clients' listener speak TLS with a certificate of an
	// authority made for this cluster; see [Cluster.CAFile].
	TLS bool
	// SASL makes clients log in; nil lets everybody in.
	SASL *SASL
	// Dir is where logs and data go; empty means a temporary directory that
	// Close removes. A given one must be empty and stays.
	Dir string
	// Measured gives the brokers the heap, 1 GiB each, and the collector of Kafka's
	// own start script, for figures that are not to be those of a small heap.
	Measured bool
	// StartTimeout bounds starting and restarting until the cluster serves; 0
	// means ten minutes: a start takes a few seconds, and far more on a busy machine.
	StartTimeout time.Duration
}

const defaultStartTimeout = 10 * time.Minute

func (o Options) withDefaults() (Options, error) {
	if o.Brokers == 0 {
		o.Brokers = 1
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = defaultStartTimeout
	}
	if o.Brokers < 0 {
		return o, fmt.Errorf("%d brokers asked for", o.Brokers)
	}
	for i := range maps.Keys(o.BrokerProperties) {
		if i < 0 || i >= o.Brokers {
			return o, fmt.Errorf("properties for broker %d of %d", i, o.Brokers)
		}
	}
	if s := o.SASL; s != nil {
		if s.Mechanism != Plain && s.Mechanism != ScramSHA256 {
			return o, fmt.Errorf("SASL mechanism %q: want %s or %s", s.Mechanism, Plain, ScramSHA256)
		}
		if s.User == "" || s.Password == "" {
			return o, errors.New("SASL without user or password")
		}
	}
	return o, nil
}
