// Package egress is the only way out to the endpoints: connections and an HTTP transport whose every dial passes an address
// guard, and the check of URLs when a subscription is written. Both share one guard, so what can be written and what can
// be dialled do not differ; the dial decides, because a name may resolve to anything later.
//
// [Transport.Connect] and [Transport.Open] give connections for HTTP/1.1 and HTTP/2, which attempts are made over; [Transport.RoundTrip] is
// net/http's, for everything that is not an attempt. Dial, proxy, TLS and limits are
// the same for both, connections are not shared. A kept connection of Connect has no goroutine and no buffer: whether it
// is still good is found out when it is used, by a read that does not wait. One that its endpoint has closed meanwhile
// holds its descriptor until then, or until its idle time is over.
//
// Endpoints are hostile until proven otherwise: the guard refuses every address that is not public (the registries of
// IANA, through code.dny.dev/ssrf), cloud metadata services and whatever the configuration adds; headers of a response
// are bounded. No proxy is taken from the environment, since the guard would see the proxy's address alone; one that is
// configured is asked for addresses that the guard has seen.
package egress

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Config says what may be reached and how many connections are kept. The zero Config is the production default: https
// on port 443 of public addresses.
type Config struct {
	// AllowHTTP also allows http URLs and port 80.
	AllowHTTP bool
	// AllowInternalNames allows hosts such as localhost, names of a single label and resolver search domains. For
	// development; the addresses they resolve to are checked all the same.
	AllowInternalNames bool
	// AllowNetworks are reachable whatever they are, for development: 127.0.0.0/8.
	AllowNetworks []netip.Prefix
	// DenyNetworks are refused in addition: the cluster's own public ranges. AllowNetworks wins.
	DenyNetworks []netip.Prefix
	// Ports are reachable in addition to 443 and, with AllowHTTP, 80.
	Ports []uint16
	// AnyPort allows every port, for development.
	AnyPort bool

	// MaxIdleConns bounds the idle connections of all hosts together, the least recently used go first; 0 is
	// [DefaultMaxIdleConns]. Those that [Transport.RoundTrip] makes are counted apart, as are those of each lowest TLS
	// version there: they lead to token endpoints. As many again may be shared over HTTP/2; those opened first are left first.
	MaxIdleConns int
	// MaxIdleConnsPerHost bounds those of one host; 0 is [DefaultMaxIdleConnsPerHost].
	MaxIdleConnsPerHost int
	// IdleTimeout closes a connection that was not used for that long; 0 is [DefaultIdleTimeout].
	IdleTimeout time.Duration
	// ConnectTimeout bounds DNS and TCP together, and then the TLS handshake; 0 is [DefaultConnectTimeout]. Go's transport
	// goes on with them after a request's own deadline, to keep the connection.
	ConnectTimeout time.Duration
	// Proxy is the forward proxy, if there is one.
	Proxy Proxy
	// HTTP2 is when endpoints are spoken to in HTTP/2; empty is [HTTP2Busy].
	HTTP2 HTTP2
	// Resolver replaces the system's.
	Resolver *net.Resolver
	// RootCAs replaces the system's certificate authorities: for a private one, and for tests.
	RootCAs *x509.CertPool
}

// HTTP2 is when endpoints are spoken to in HTTP/2, if they have it.
type HTTP2 string

// When.
const (
	// HTTP2Busy is where many requests are under way at a time, and where an endpoint has nothing else.
	HTTP2Busy HTTP2 = "busy"
	// HTTP2Needed is only where it has nothing else.
	HTTP2Needed HTTP2 = "needed"
	// HTTP2Off is never: endpoints that have nothing else are not reached.
	HTTP2Off HTTP2 = "off"
)

// Defaults of [Config].
const (
	// DefaultMaxIdleConns is 4,096 connections: about 40 MB at the measured 10 KB of an idle TLS connection.
	DefaultMaxIdleConns = 4096
	// DefaultMaxIdleConnsPerHost lets one busy host keep what a burst opened; the total bounds it.
	DefaultMaxIdleConnsPerHost = 256
	// DefaultIdleTimeout is below the 60 s after which common load balancers drop an idle connection, so that we close
	// it first and no attempt meets a connection that is just going away.
	DefaultIdleTimeout = 55 * time.Second
	// DefaultConnectTimeout is ten seconds: three SYNs at Linux' 1, 3 and 7 s.
	DefaultConnectTimeout = 10 * time.Second
	// MaxResponseHeaderBytes bounds the head of a response, 1xx responses included: 64 KiB.
	MaxResponseHeaderBytes = 64 << 10
)

// withDefaults returns c with everything unset filled in.
func (c Config) withDefaults() Config {
	if c.HTTP2 == "" {
		c.HTTP2 = HTTP2Busy
	}
	if c.MaxIdleConns == 0 {
		c.MaxIdleConns = DefaultMaxIdleConns
	}
	if c.MaxIdleConnsPerHost == 0 {
		c.MaxIdleConnsPerHost = DefaultMaxIdleConnsPerHost
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	return c
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	for field, prefixes := range map[string][]netip.Prefix{
		"allowNetworks": c.AllowNetworks, "denyNetworks": c.DenyNetworks,
	} {
		if i := slices.IndexFunc(prefixes, func(p netip.Prefix) bool { return !p.IsValid() }); i >= 0 {
			return fmt.Errorf("%s[%d]: want a network such as 10.0.0.0/8", field, i)
		}
	}
	if err := c.Proxy.Validate(); err != nil {
		return fmt.Errorf("proxy.%w", err)
	}
	switch {
	case !slices.Contains([]HTTP2{"", HTTP2Busy, HTTP2Needed, HTTP2Off}, c.HTTP2):
		return fmt.Errorf("http2: %q, want %s, %s or %s", c.HTTP2, HTTP2Busy, HTTP2Needed, HTTP2Off)
	case slices.Contains(c.Ports, 0):
		return fmt.Errorf("ports: 0, want 1 to 65535")
	case c.MaxIdleConns < 0:
		return fmt.Errorf("maxIdleConns: %d, want 1 or more, or 0 for %d", c.MaxIdleConns, DefaultMaxIdleConns)
	case c.MaxIdleConnsPerHost < 0:
		return fmt.Errorf("maxIdleConnsPerHost: %d, want 1 or more, or 0 for %d",
			c.MaxIdleConnsPerHost, DefaultMaxIdleConnsPerHost)
	case c.IdleTimeout < 0:
		return fmt.Errorf("idleTimeout: %s, want more than 0, or 0 for %s", c.IdleTimeout, DefaultIdleTimeout)
	case c.ConnectTimeout < 0:
		return fmt.Errorf("connectTimeout: %s, want more than 0, or 0 for %s", c.ConnectTimeout, DefaultConnectTimeout)
	}
	return nil
}
