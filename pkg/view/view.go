// Package view holds what Postrider keeps in Redis: hot views that can be rebuilt. Deliveries never wait for it.
//
// # Presence
//
// Every role that follows the registry reports the version it has applied, each second and whenever it changes, and
// counts as live for five seconds after its last report. So a caller may wait until all live roles have a version: see
// [Redis.Report] and [Redis.WaitApplied].
//
// # Events
//
// The index finds a tenant's events of the last days: by message id, and as lists by time; see [Redis.AddEvents],
// [Redis.Event] and [Redis.ListEvents]. The events themselves stay in Kafka. They come as chunks of what a batch of
// the recorder had for a tenant and second, one script for each of 16 shards of tenants. An event of an ordinary type takes about 150
// bytes of Redis' memory, most of it for its id. After a loss the recorder fills it again.
//
// # Attempts
//
// [Redis.AddRows] makes views of the rows of outcomes, a script for each subscription of a batch: the last attempt of each
// event type ([Redis.Statuses]), the last 50 of each and of all ([Redis.LastAttempts]), 16 bytes a row in an index by the hour
// ([Redis.Attempts]), counters of minutes and hours ([Redis.Health]), and where the rows of a message are
// ([Redis.MessageAttempts]). They hold positions, by which the rows themselves are read from Kafka. Rows that are no attempt
// (parked, cancelled, not sent) are in the index, the counters and the messages; the other two are of attempts alone.
//
// Rows that come again change nothing, and how they are batched changes nothing either, so views that are made again are the
// same as before, byte for byte; only the rows of a message that lie in different partitions may have another order. A row
// takes 30 bytes of Redis' memory in the index and the messages, and what the lists and counters of its subscription take.
// [Redis.Progress] and [Complete] say how far the views are.
//
// [Redis.Loads] are the attempts of the last hour by endpoint, for finding the busiest and the sickest of all tenants. They come with the
// rows and under the same guard, in one more string for each shard and five minutes; rows that are older when they come are not in them.
// They alone are other bytes when they are made again, an entry being one of a batch.
//
// # Breakers
//
// Deliverers say which endpoints' breakers are open ([Redis.SetBreakers]), for people to see. After a loss it takes a minute until
// they have said it again, and since when they are open is forgotten.
//
// # Idempotency keys
//
// [Redis.Begin] claims a key for a request, [Redis.Finish] keeps its answer for 12 hours. After a loss they are gone.
//
// # Notices
//
// [Redis.KeepNoticeState] keeps what a tenant was told of its failures. After a loss it is told once more of what goes on.
//
// # Metrics
//
//   - postrider_index_events_total: events added to the index.
//   - postrider_view_rows_total: rows of outcomes added to the views, those that were there among them.
//   - postrider_redis_up: 1 if Redis answered the last call, 0 if it could not be reached, or before the first call.
//   - postrider_redis_errors_total: calls that Redis did not answer, or refused.
package view

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Limits of a call. What is in Redis can wait, and whoever waits for it is told so soon.
const (
	// DefaultCallTimeout bounds a dial, a read and a write each: a local network answers within a millisecond.
	DefaultCallTimeout = time.Second
	// callRetries is how often a call is made again after a connection that broke: a pooled one may be long dead.
	callRetries = 1
	// poolSize bounds the connections to a node: a role makes one call at a time, the API one for each of many requests,
	// and a connection makes thousands a second.
	poolSize = 16
)

// Config is how to reach Redis. The zero value of every field but Addresses works.
type Config struct {
	// Addresses are host:port. More than one is a Redis Cluster, or with a Sentinel's master the Sentinels.
	Addresses []string
	// Sentinel finds the one Redis that is the master.
	Sentinel Sentinel
	// Prefix is put before every key, so that installations may share a Redis.
	Prefix string
	// Username is the ACL user; empty is the default user.
	Username string
	// Password is that of the user; PasswordFile is a file that holds it, and wins.
	Password     string
	PasswordFile string
	// TLS encrypts the connections; CAFile holds the certificates to trust, PEM, the system's if empty.
	TLS    bool
	CAFile string
	// DB is the database number; a cluster has 0 alone.
	DB int
	// EventRetention is how long events are found; [DefaultEventRetention] if 0. More than their topic's is of no use.
	EventRetention time.Duration
	// CallTimeout bounds a dial, a read and a write each; [DefaultCallTimeout] if 0.
	CallTimeout time.Duration
	// Metrics gets the metrics of the package; nil keeps them to themselves.
	Metrics prometheus.Registerer
}

// Sentinel is how to find a master through Redis Sentinel. The zero value is for none.
type Sentinel struct {
	// Master is the name that the Sentinels have for it.
	Master string
	// Username and Password are for the Sentinels themselves; PasswordFile is a file that holds the password, and wins.
	Username     string
	Password     string
	PasswordFile string
}

// Redis reaches one Redis, the master that Sentinels name, or one Redis Cluster. All methods may be called concurrently. Close it.
type Redis struct {
	client  redis.UniversalClient
	conf    Config
	tags    [viewShards]string // of the views of attempts
	piece   int                // [pieceRows], but in tests
	metrics metrics
}

// Open returns a client and connects to nothing yet: every call reports on its own that Redis is away, within a few
// seconds. An error is one of the configuration or its files.
func Open(conf Config) (*Redis, error) {
	password, err := secret("redis.password_file", conf.Password, conf.PasswordFile)
	if err != nil {
		return nil, err
	}
	ofSentinels, err := secret("redis.sentinel.password_file", conf.Sentinel.Password, conf.Sentinel.PasswordFile)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := conf.tls()
	if err != nil {
		return nil, err
	}
	if conf.EventRetention == 0 {
		conf.EventRetention = DefaultEventRetention
	}
	if conf.CallTimeout == 0 {
		conf.CallTimeout = DefaultCallTimeout
	}
	m, err := newMetrics(conf.Metrics)
	if err != nil {
		return nil, fmt.Errorf("registering metrics of Redis: %w", err)
	}
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: conf.Addresses, DB: conf.DB, Username: conf.Username, Password: password, TLSConfig: tlsConfig,
		IsClusterMode: len(conf.Addresses) > 1 && conf.Sentinel.Master == "",
		MasterName:    conf.Sentinel.Master, SentinelUsername: conf.Sentinel.Username, SentinelPassword: ofSentinels,
		DialTimeout: conf.CallTimeout, ReadTimeout: conf.CallTimeout, WriteTimeout: conf.CallTimeout, PoolTimeout: conf.CallTimeout,
		DialerRetries: 1, MaxRetries: callRetries, PoolSize: poolSize,
		ContextTimeoutEnabled: true, // without it a context does not end a read
		DisableIdentity:       true, // CLIENT SETINFO is refused by older proxies, and tells nobody anything
		// Asking a managed service to announce its failovers costs a refused call with every connection elsewhere.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return &Redis{client: client, conf: conf, tags: shardTags(conf.Prefix), piece: pieceRows, metrics: m}, nil
}

// secret returns a secret, which a file may hold.
func secret(field, text, file string) (string, error) {
	if file == "" {
		return text, nil
	}
	raw, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// Close gives the connections back. No other method may be running or called later.
func (r *Redis) Close() error { return r.client.Close() }

func (c Config) tls() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil //nolint:nilnil // no TLS is a valid configuration
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("redis.tls.ca_file: %w", err)
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("redis.tls.ca_file: %s: holds no PEM certificate", c.CAFile)
	}
	return conf, nil
}

// done counts a call and says in one line what is wrong with Redis.
func (r *Redis) done(err error) error {
	answer := redis.Error(nil)
	switch {
	case err == nil:
		r.metrics.up.Set(1)
		return nil
	case errors.As(err, &answer):
		r.metrics.up.Set(1)
		err = fmt.Errorf("redis.addresses: %v refused a call: %w", r.conf.Addresses, err)
	default:
		r.metrics.up.Set(0)
		err = fmt.Errorf("redis.addresses: %v cannot be reached: %w", r.conf.Addresses, err)
	}
	r.metrics.errors.Inc()
	return err
}
