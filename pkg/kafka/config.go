// Package kafka is the only place that speaks to Kafka: clients, consumer groups with exact accounting, the registry's
// log, and administration. Everything else sees the small interfaces of its own package, or [Record].
//
// # Metrics
//
// Of consumer groups, by group or topic:
//
//   - postrider_group_partitions: partitions this member owns.
//   - postrider_group_commits_total: offset commits sent.
//   - postrider_group_commit_errors_total: offset commits refused or unanswered.
//   - postrider_group_metadata_overflows_total: commits whose metadata could not hold every finished offset.
//   - postrider_group_lost_total: times the brokers threw this member out.
//   - postrider_group_lag_records: records between the commit and the end, by partition; asked for when scraped. Of the retry
//     topics it says nothing: what waits there waits by design.
//   - postrider_group_oldest_unfinished_seconds: age of the oldest record that was read and is not finished, to the second.
//   - postrider_partitions_halted_total: partitions halted, their committed offset being out of range, or a record of
//     a newer release in them.
//   - postrider_partitions_out_of_range_total: partitions started at the start of the log for the same reason.
//
// The client library's own, postrider_kafka_…, are labelled with the client's name; see [Config.For].
package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Record is a Kafka record, as the client library has it: nothing is copied on the way.
type Record = kgo.Record

// Header is a record header.
type Header = kgo.RecordHeader

// Config is how to reach a cluster. The zero value of every field but Brokers works.
type Config struct {
	// Brokers are the seed addresses, host:port.
	Brokers []string `yaml:"brokers" koanf:"brokers"`
	// ClientID is shown in the brokers' logs and quotas; "postrider" if empty.
	ClientID string `yaml:"client_id" koanf:"client_id"`
	// Prefix is put before the name of every topic, group and transactional id of Postrider's own.
	Prefix string     `yaml:"prefix" koanf:"prefix"`
	TLS    TLSConfig  `yaml:"tls" koanf:"tls"`
	SASL   SASLConfig `yaml:"sasl" koanf:"sasl"`
	// GroupProtocol is classic (cooperative-sticky, default) or consumer (KIP-848).
	GroupProtocol string `yaml:"group_protocol" koanf:"group_protocol"`
	// SessionTimeout is how long a silent member keeps its partitions under the classic protocol: 6 to 10 s, 8 s if 0.
	// Under KIP-848 the brokers decide.
	SessionTimeout time.Duration `yaml:"session_timeout" koanf:"session_timeout"`
	// OnOutOfRange says what happens when a committed offset is not in the log any more: stop (default) leaves the
	// partition unread, unready and alerting; earliest goes on at the start of the log. Neither skips what exists.
	OnOutOfRange string `yaml:"on_out_of_range" koanf:"on_out_of_range"`
	// FetchMaxWait is how long a broker may hold a fetch that finds nothing: what a partition that is read again after a
	// pause may be late by. 250 ms if 0.
	FetchMaxWait time.Duration `yaml:"fetch_max_wait" koanf:"fetch_max_wait"`
	// Dial replaces the dialer, for embedded brokers and tests; nil dials TCP.
	Dial DialFunc `yaml:"-" koanf:"-"`
	// Metrics gets the client library's own metrics (postrider_kafka_…), labelled with the client's name; see [Config.For].
	Metrics prometheus.Registerer `yaml:"-" koanf:"-"`
}

// For returns the configuration of one named client of the process, whose metrics are kept apart from the others'.
func (c Config) For(name string, metrics prometheus.Registerer) Config {
	if c.ClientID == "" {
		c.ClientID = defaultClientID
	}
	c.ClientID += "-" + name
	c.Metrics = metrics
	return c
}

const defaultClientID = "postrider"

// TLSConfig is TLS to the brokers.
type TLSConfig struct {
	Enabled bool `yaml:"enabled" koanf:"enabled"`
	// CAFile holds the certificates to trust, PEM; the system's if empty.
	CAFile string `yaml:"ca_file" koanf:"ca_file"`
	// CertFile and KeyFile are the client's own, for mutual TLS.
	CertFile string `yaml:"cert_file" koanf:"cert_file"`
	KeyFile  string `yaml:"key_file" koanf:"key_file"`
	// ServerName replaces the broker's host name in the check of its certificate.
	ServerName string `yaml:"server_name" koanf:"server_name"`
}

// SASLConfig is authentication to the brokers.
type SASLConfig struct {
	// Mechanism is empty, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string `yaml:"mechanism" koanf:"mechanism"`
	User      string `yaml:"user" koanf:"user"`
	// Password is best given by environment, or through PasswordFile.
	Password     string `yaml:"password" koanf:"password"`
	PasswordFile string `yaml:"password_file" koanf:"password_file"`
}

// Group protocols.
const (
	ProtocolClassic  = "classic"
	ProtocolConsumer = "consumer"
)

// Answers to a committed offset that is out of range.
const (
	OutOfRangeStop     = "stop"
	OutOfRangeEarliest = "earliest"
)

// defaultSession is the silence after which a member counts as dead: long enough for a garbage collection and a
// throttled CPU, short enough that its partitions do not stand still for a customer to notice.
const defaultSession = 8 * time.Second

// Fetch waits: with the default a paused partition is read again in time for the promise to retry within a second.
const (
	defaultFetchMaxWait = 250 * time.Millisecond
	maxFetchMaxWait     = 5 * time.Second
)

// Validate returns an error for every field that is wrong, joined.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("kafka.brokers: missing: want at least one host:port"))
	}
	if s := c.SessionTimeout; s != 0 && (s < 6*time.Second || s > 10*time.Second) {
		errs = append(errs, fmt.Errorf("kafka.session_timeout: %s: want 6s to 10s", s))
	}
	if w := c.FetchMaxWait; w < 0 || w > maxFetchMaxWait {
		errs = append(errs, fmt.Errorf("kafka.fetch_max_wait: %s: want at most %s", w, maxFetchMaxWait))
	}
	errs = append(errs,
		oneOf("kafka.group_protocol", c.GroupProtocol, "", ProtocolClassic, ProtocolConsumer),
		oneOf("kafka.on_out_of_range", c.OnOutOfRange, "", OutOfRangeStop, OutOfRangeEarliest),
		oneOf("kafka.sasl.mechanism", c.SASL.Mechanism, "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"))
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		errs = append(errs, errors.New("kafka.tls: cert_file and key_file: want both or neither"))
	}
	return errors.Join(errs...)
}

func oneOf(field, got string, allowed ...string) error {
	if slices.Contains(allowed, got) {
		return nil
	}
	return fmt.Errorf("%s: %q: want %s", field, got, strings.Join(allowed[1:], ", "))
}

// Options returns the client options that every client of this cluster shares.
func (c Config) Options() ([]kgo.Opt, error) {
	id := c.ClientID
	if id == "" {
		id = defaultClientID
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID(id),
		kgo.DisableClientMetrics(), // what this process measures, it shows itself
	}
	tlsConfig, err := c.TLS.config()
	switch {
	case err != nil:
		return nil, err
	case c.Dial != nil:
		opts = append(opts, kgo.Dialer(c.Dial))
	case tlsConfig != nil:
		opts = append(opts, kgo.DialTLSConfig(tlsConfig))
	}
	mechanism, err := c.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

func (c TLSConfig) config() (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil //nolint:nilnil // no TLS is a valid configuration
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.ca_file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka.tls.ca_file: %s: holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.cert_file: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}

func (c SASLConfig) mechanism() (sasl.Mechanism, error) {
	if c.Mechanism == "" {
		return nil, nil //nolint:nilnil // no SASL is a valid configuration
	}
	password := c.Password
	if c.PasswordFile != "" {
		text, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.sasl.password_file: %w", err)
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	switch c.Mechanism {
	case "PLAIN":
		return plain.Auth{User: c.User, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: c.User, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: c.User, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, oneOf("kafka.sasl.mechanism", c.Mechanism, "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
}
