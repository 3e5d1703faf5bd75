// Package config is the configuration of every role: one YAML file, then the environment, then flags; the later one wins.
// Every key has a default, so an empty file is a valid one. A key that does not exist is refused, with its line and the
// key that was probably meant. configs/reference.yaml is generated from this package and lists all of them.
//
// The environment variable of a key is POSTRIDER_ and the key in upper case, dots as underscores:
// kafka.tls.ca_file is POSTRIDER_KAFKA_TLS_CA_FILE. Lists are separated by commas; POSTRIDER_SOURCES is YAML.
package config

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/portal"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/tracing"
	"github.com/postrider/postrider/topics"
)

// Config is the configuration of a process. [Load] returns a validated one; its String shows no secret.
type Config struct {
	Kafka     kafka.Config `koanf:"kafka"`
	Redis     Redis        `koanf:"redis"`
	HTTP      HTTP         `koanf:"http"`
	API       API          `koanf:"api"`
	Portal    Portal       `koanf:"portal"`
	Notices   Notices      `koanf:"notices"`
	Log       Log          `koanf:"log"`
	Tracing   Tracing      `koanf:"tracing"`
	Sources   []Source     `koanf:"sources"`
	Router    Router       `koanf:"router"`
	Deliverer Deliverer    `koanf:"deliverer"`
	Retrier   Retrier      `koanf:"retrier"`
	Recorder  Recorder     `koanf:"recorder"`
	Canary    Canary       `koanf:"canary"`
	Egress    Egress       `koanf:"egress"`
	// Encryption is how secrets are kept in the registry.
	Encryption Encryption `koanf:"encryption"`
	// ProfilesDir holds profiles besides the built-in ones; a file there replaces the built-in profile of its name.
	ProfilesDir string `koanf:"profiles_dir"`
}

// Redis is where roles report that they are live, and where the views are. More than one address is a Redis Cluster, or the
// Sentinels of one master.
type Redis struct {
	Addresses    []string `koanf:"addresses"`
	Username     string   `koanf:"username"`
	Password     string   `koanf:"password"`
	PasswordFile string   `koanf:"password_file"`
	// Sentinel finds the master through Redis Sentinel: the addresses are the Sentinels'.
	Sentinel RedisSentinel `koanf:"sentinel"`
	TLS      RedisTLS      `koanf:"tls"`
	// DB is the database number; Redis Cluster has only 0.
	DB int `koanf:"db"`
	// CallTimeout bounds a dial, a read and a write each, and what publishing asks.
	CallTimeout time.Duration `koanf:"call_timeout"`
}

// RedisSentinel is how to find a master through Redis Sentinel.
type RedisSentinel struct {
	// Master is the name that the Sentinels have for it; empty for no Sentinel.
	Master string `koanf:"master"`
	// Username and Password are the Sentinels' own; PasswordFile is a file that holds the password.
	Username     string `koanf:"username"`
	Password     string `koanf:"password"`
	PasswordFile string `koanf:"password_file"`
}

// RedisTLS is TLS to Redis.
type RedisTLS struct {
	Enabled bool `koanf:"enabled"`
	// CAFile holds the certificates to trust, PEM; the system's if empty.
	CAFile string `koanf:"ca_file"`
}

// Encryption is how secrets are kept in the registry. One of its keys is set in processes that read or write them.
type Encryption struct {
	// Keyset is a Tink keyset as JSON; KeysetFile is a file that holds one.
	Keyset     string `koanf:"keyset"`
	KeysetFile string `koanf:"keyset_file"`
}

// HTTP is the operational listener every role has: /healthz, /readyz and /metrics.
type HTTP struct {
	Listen string `koanf:"listen"`
	// Profiling serves the profiles of the Go runtime there, too.
	Profiling bool `koanf:"profiling"`
}

// API is the management API and the portal.
type API struct {
	Listen string `koanf:"listen"`
	// PortalURL is where customers reach the portal: the link that opens it with a token begins with it.
	PortalURL string `koanf:"portal_url"`
	// RequestsPerSecond and Burst limit each key.
	RequestsPerSecond int `koanf:"requests_per_second"`
	Burst             int `koanf:"burst"`
	// SourceIPs are the networks that deliveries come from, published for receivers' firewalls.
	SourceIPs []netip.Prefix `koanf:"source_ips"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `koanf:"trusted_proxies"`
	// ValidatePayloads refuses published events that do not match the schema of their type.
	ValidatePayloads bool `koanf:"validate_payloads"`
}

// Portal is the look of the portal, which the API serves, and who may embed it.
type Portal struct {
	Name   string `koanf:"name"`
	Logo   string `koanf:"logo"`
	Accent string `koanf:"accent"`
	// FrameAncestors are the origins whose pages may embed it.
	FrameAncestors []string `koanf:"frame_ancestors"`
}

// Theme is the look as the portal takes it.
func (p Portal) Theme() portal.Theme {
	return portal.Theme{Name: p.Name, Logo: p.Logo, Accent: p.Accent}
}

// Notices are how tenants are told of failures.
type Notices struct {
	// Gather is how long the first notice waits for what else goes wrong, Every the least time between two.
	Gather time.Duration `koanf:"gather"`
	Every  time.Duration `koanf:"every"`
	SMTP   SMTP          `koanf:"smtp"`
}

// SMTP is the mail server that takes notices; see [notify.SMTP], which it converts to.
type SMTP struct {
	Host         string `koanf:"host"`
	Port         int    `koanf:"port"`
	TLS          string `koanf:"tls"` // starttls, tls or none
	CAFile       string `koanf:"ca_file"`
	Username     string `koanf:"username"`
	Password     string `koanf:"password"`
	PasswordFile string `koanf:"password_file"`
	From         string `koanf:"from"`
}

// Log is what is logged, and how.
type Log struct {
	Level  string `koanf:"level"`  // debug, info, warn or error
	Format string `koanf:"format"` // text or json
}

// Tracing is what is traced, and where to. What it does not say, the environment variables of OpenTelemetry (OTEL_…) do.
type Tracing struct {
	Enabled bool `koanf:"enabled"`
	// Endpoint is the URL of a collector that takes OTLP over HTTP; empty for what OTEL_EXPORTER_OTLP_ENDPOINT says.
	Endpoint string `koanf:"endpoint"`
	// Ratio is how much is traced, from 0 to 1, where neither the producer nor the tenant's ratio decides.
	Ratio float64 `koanf:"ratio"`
	// FollowParent has producers decide about events that come with a trace context.
	FollowParent bool `koanf:"follow_parent"`
	// Tenants have ratios of their own.
	Tenants []tracing.TenantRatio `koanf:"tenants"`
}

// Sampling is what is traced, as the tracer takes it.
func (t Tracing) Sampling() tracing.Sampling {
	return tracing.Sampling{Ratio: t.Ratio, FollowParent: t.FollowParent, Tenants: t.Tenants}
}

// Source is a set of topics and how to read events from them.
type Source struct {
	event.Source
	// Topics are read by name; Pattern is a regular expression that matches whole topic names. One of them is set.
	Topics  []string `koanf:"topics"`
	Pattern string   `koanf:"pattern"`
}

// Router is the role that expands events into deliveries.
type Router struct {
	// MaxExpansions is how many deliveries are made before the source offset is committed at the latest.
	MaxExpansions int `koanf:"max_expansions"`
	// OperationalTenant names the tenant whose subscriptions receive the operational events of all tenants.
	OperationalTenant string `koanf:"operational_tenant"`
}

// Deliverer is the role that sends.
type Deliverer struct {
	// Workers is the number of requests in flight at a time.
	Workers int `koanf:"workers"`
	// MaxInFlightBytes bounds the event data held in memory; every tenant has a share of it.
	MaxInFlightBytes ByteSize `koanf:"max_in_flight_bytes"`
	// LaneQueue is how many deliveries of one subscription wait in memory before it is diverted; fewer if they are an eighth of
	// MaxInFlightBytes.
	LaneQueue int `koanf:"lane_queue"`
	// LaneConcurrency is the most requests in flight to one endpoint; the adaptive limit stays below it.
	LaneConcurrency int `koanf:"lane_concurrency"`
	// Drain is how long requests in flight may take to end when a partition is revoked or the process stops.
	Drain time.Duration `koanf:"drain"`
	// Window is how many recent (delivery, trigger, pass) each partition remembers, to drop what a crash repeated.
	Window   int      `koanf:"window"`
	Breaker  Breaker  `koanf:"breaker"`
	Outcomes Outcomes `koanf:"outcomes"`
}

// Outcomes is what the records of attempts hold of responses and URLs: keep or drop.
type Outcomes struct {
	ResponseBody    Retain `koanf:"response_body"`
	ResponseHeaders Retain `koanf:"response_headers"`
	URLQuery        Retain `koanf:"url_query"`
}

// Retain says what becomes of something.
type Retain string

// Values of [Retain].
const (
	Keep Retain = "keep"
	Drop Retain = "drop"
)

// Breaker is when an endpoint is left alone, and how it is tried again.
type Breaker struct {
	// Failures in a row that open it.
	Failures int `koanf:"failures"`
	// OpenFor is how long it stays open the first time; it doubles up to MaxOpen while probes fail.
	OpenFor time.Duration `koanf:"open_for"`
	MaxOpen time.Duration `koanf:"max_open"`
	// Probes is how many deliveries come due when it expires.
	Probes int `koanf:"probes"`
	// RampRate is how many deliveries per second the backlog is spread over after that.
	RampRate int `koanf:"ramp_rate"`
}

// Retrier is the role that moves records from the retry tiers back to deliveries.
type Retrier struct {
	// Buffer is how many records wait in memory at most: those of which little time is left.
	Buffer int `koanf:"buffer"`
}

// Recorder is the role that fills the views in Redis.
type Recorder struct {
	// EventRetention is how long events are found through the API.
	EventRetention time.Duration `koanf:"event_retention"`
}

// Canary is a tenant of Postrider's own, whose events go to the api role; see package canary.
type Canary struct {
	// Interval is the time between two events of an api process; 0 is off.
	Interval time.Duration `koanf:"interval"`
	// URL is where deliverers reach the API's listener, with the path /canary.
	URL string `koanf:"url"`
	// LostAfter is how long an event may take.
	LostAfter time.Duration `koanf:"lost_after"`
}

// Egress is what endpoints may be, and the connections to them.
type Egress struct {
	// AllowHTTP permits http:// endpoints, for development.
	AllowHTTP bool `koanf:"allow_http"`
	// AllowNetworks are reachable although they are private, special or denied, and by internal names.
	AllowNetworks []netip.Prefix `koanf:"allow_networks"`
	// DenyNetworks are not reachable although they are public.
	DenyNetworks []netip.Prefix `koanf:"deny_networks"`
	// Ports that endpoints may have besides 443 (and 80 with AllowHTTP); AnyPort lifts the limit.
	Ports   []int `koanf:"ports"`
	AnyPort bool  `koanf:"any_port"`
	// UserAgent is sent unless the profile has its own.
	UserAgent string `koanf:"user_agent"`
	// MaxIdleConns bounds idle connections; about 10 KB each over TLS.
	MaxIdleConns int `koanf:"max_idle_conns"`
	// HTTP2 is when endpoints are spoken to in HTTP/2; see [egress.HTTP2].
	HTTP2 string `koanf:"http2"`
	Proxy Proxy  `koanf:"proxy"`
}

// Proxy is a forward proxy between this installation and the endpoints; see [egress.Proxy], which it converts to.
type Proxy struct {
	URL          string `koanf:"url"` // http://host:port or https://host:port; empty for none
	Username     string `koanf:"username"`
	Password     string `koanf:"password"`
	PasswordFile string `koanf:"password_file"`
}

// EventsTopic is the source topic of Postrider's own, without the prefix: `postrider send` writes to it and the router
// always reads it, as CloudEvents.
const EventsTopic = topics.Events

// AllSources returns the configured sources and, first, the one of Postrider's own topic.
func (c *Config) AllSources() []Source {
	own := Source{Source: event.Source{Name: EventsTopic, Format: event.FormatCloudEvents}}
	own.Topics = []string{c.Kafka.Prefix + EventsTopic}
	return append([]Source{own}, c.Sources...)
}

// Default returns the configuration of an empty file: everything on this machine.
func Default() Config {
	return Config{
		Kafka: kafka.Config{
			Brokers:        []string{"localhost:9092"},
			ClientID:       "postrider",
			Prefix:         "postrider.",
			GroupProtocol:  kafka.ProtocolClassic,
			SessionTimeout: 8 * time.Second,
			OnOutOfRange:   kafka.OutOfRangeStop,
			FetchMaxWait:   250 * time.Millisecond,
		},
		Redis: Redis{Addresses: []string{"localhost:6379"}, CallTimeout: time.Second},
		HTTP:  HTTP{Listen: ":9464"}, // the port of OpenTelemetry's Prometheus exporter
		API: API{
			Listen: ":8070", PortalURL: "http://localhost:8070/portal", RequestsPerSecond: 500, Burst: 1000,
			SourceIPs: []netip.Prefix{}, TrustedProxies: []netip.Prefix{},
		},
		Portal:  Portal{FrameAncestors: []string{}},
		Notices: Notices{Gather: time.Minute, Every: time.Hour, SMTP: SMTP{Port: 587, TLS: notify.TLSStart}},
		Log:     Log{Level: "info", Format: "text"},
		Tracing: Tracing{Ratio: 0.01, FollowParent: true, Tenants: []tracing.TenantRatio{}},
		Sources: []Source{},
		Router:  Router{MaxExpansions: 5000},
		Retrier: Retrier{Buffer: 20_000},
		Recorder: Recorder{
			EventRetention: 7 * 24 * time.Hour, // two days less than the topic's
		},
		Canary: Canary{LostAfter: 5 * time.Minute},
		Deliverer: Deliverer{
			Workers:          512,
			MaxInFlightBytes: 256 << 20,
			LaneQueue:        10_000,
			LaneConcurrency:  32,
			Drain:            5 * time.Second,
			Window:           65536,
			Breaker: Breaker{
				Failures: 5,
				OpenFor:  5 * time.Second,
				MaxOpen:  15 * time.Minute,
				Probes:   3,
				RampRate: 50,
			},
			Outcomes: Outcomes{ResponseBody: Keep, ResponseHeaders: Keep, URLQuery: Drop},
		},
		Egress: Egress{
			AllowNetworks: []netip.Prefix{},
			DenyNetworks:  []netip.Prefix{},
			Ports:         []int{8443},
			UserAgent:     profile.DefaultUserAgent,
			MaxIdleConns:  egress.DefaultMaxIdleConns,
			HTTP2:         string(egress.HTTP2Busy),
		},
	}
}
