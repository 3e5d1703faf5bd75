package kafkatest

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// User is who logs in; empty without SASL.
func (c *Cluster) User() string {
	if c.options.SASL == nil {
		return ""
	}
	return c.options.SASL.User
}

// Password is what User logs in with; empty without SASL.
func (c *Cluster) Password() string {
	if c.options.SASL == nil {
		return ""
	}
	return c.options.SASL.Password
}

// ClientOpts are the options with which a client reaches the cluster: seeds, and
// TLS and SASL if the cluster wants them.
func (c *Cluster) ClientOpts() []kgo.Opt { return c.clientOpts(c.Brokers()...) }

func (c *Cluster) clientOpts(seeds ...string) []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(seeds...)}
	if c.options.TLS {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(c.ca))
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
	}
	if s := c.options.SASL; s != nil {
		if s.Mechanism == Plain {
			opts = append(opts, kgo.SASL(plain.Auth{User: s.User, Pass: s.Password}.AsMechanism()))
		} else {
			opts = append(opts, kgo.SASL(scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism()))
		}
	}
	return opts
}
