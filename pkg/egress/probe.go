package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Step is one step on the way to an endpoint.
type Step string

// Steps, in their order.
const (
	StepResolves Step = "resolves"
	StepConnects Step = "connects"
	StepTLS      Step = "tls"
)

// Finding is what came of a step. Detail is one line for the endpoint's owner; what an internal resolver or address said
// is not in it.
type Finding struct {
	Step   Step
	OK     bool
	Detail string
}

// maxDials is how many of a host's addresses are tried, by a probe and through a proxy.
const maxDials = 4

// Probe goes the way to the URL's host as an attempt would, under the same guard, and sends no request. own is what the
// attempt would bring to the handshake, nil for nothing. It returns the steps it made; what fails is the last one. ctx
// bounds all of it.
func (t *Transport) Probe(ctx context.Context, raw string, own *TLS) []Finding {
	u, err := url.Parse(raw)
	if err != nil || t.guard.CheckURL(raw) != nil {
		return []Finding{{Step: StepResolves, Detail: "the URL is not allowed"}}
	}
	to, found := t.resolve(ctx, u)
	findings := []Finding{found}
	if !found.OK {
		return findings
	}
	conn, found := t.connect(ctx, to)
	if findings = append(findings, found); !found.OK {
		return findings
	}
	defer func() { _ = conn.Close() }() // nothing was sent
	if u.Scheme == "https" {
		findings = append(findings, t.handshake(ctx, conn, u.Hostname(), own))
	}
	return findings
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// resolve returns the addresses that the guard lets through.
func (t *Transport) resolve(ctx context.Context, u *url.URL) ([]netip.AddrPort, Finding) {
	addrs, err := lookup(ctx, t.resolver, t.guard.allowInternalNames, u.Hostname())
	if err != nil {
		return nil, Finding{Step: StepResolves, Detail: "the name has no address: " + lookupReason(err)}
	}
	var allowed []netip.AddrPort
	for _, a := range addrs {
		if to, err := netip.ParseAddrPort(net.JoinHostPort(a.String(), portOf(u))); err == nil && t.guard.CheckAddr(a) == nil {
			allowed = append(allowed, to)
		}
	}
	if len(allowed) == 0 {
		return nil, Finding{Step: StepResolves, Detail: "the name has no public address"}
	}
	return allowed, Finding{Step: StepResolves, OK: true, Detail: fmt.Sprintf("%d public addresses", len(allowed))}
}

// lookupReason says what a resolver meant, without its address.
func lookupReason(err error) string {
	dns := new(net.DNSError)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "it does not exist"
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "the name servers did not answer"
}

func (t *Transport) connect(ctx context.Context, to []netip.AddrPort) (net.Conn, Finding) {
	conn, err := t.dial(ctx, to)
	if err != nil {
		return nil, Finding{Step: StepConnects, Detail: fmt.Sprintf("port %d: %s", to[0].Port(), dialReason(err))}
	}
	return conn, Finding{Step: StepConnects, OK: true, Detail: fmt.Sprintf("port %d answers", to[0].Port())}
}

func (t *Transport) dial(ctx context.Context, to []netip.AddrPort) (conn net.Conn, err error) {
	if t.forward != nil {
		return t.forward.connect(ctx, to)
	}
	dialer := &net.Dialer{Timeout: t.connectTimeout, Control: t.guard.Control}
	for _, a := range to[:min(len(to), maxDials)] {
		if conn, err = dialer.DialContext(ctx, "tcp", a.String()); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func dialReason(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer in time"
	}
	if _, blocked := errors.AsType[*BlockedError](err); blocked {
		return "is not allowed"
	}
	if own, ok := errors.AsType[*ProxyError](err); ok && !own.Beyond() {
		return "the forward proxy here gives no connections"
	}
	return "refuses connections, or cannot be reached"
}

func (t *Transport) handshake(ctx context.Context, conn net.Conn, host string, own *TLS) Finding {
	conf := t.tls.Clone()
	if own != nil {
		conf = own.apply(conf, 1)
	}
	conf.ServerName, conf.NextProtos = strings.TrimSuffix(host, "."), protocols
	ctx, cancel := context.WithTimeout(ctx, t.connectTimeout)
	defer cancel()
	client := tls.Client(conn, conf)
	if err := client.HandshakeContext(ctx); err != nil {
		return Finding{Step: StepTLS, Detail: tlsReason(err, conf.MinVersion)}
	}
	state := client.ConnectionState()
	return Finding{Step: StepTLS, OK: true, Detail: fmt.Sprintf("%s, certificate valid until %s",
		tls.VersionName(state.Version), state.PeerCertificates[0].NotAfter.UTC().Format(time.RFC3339))}
}

// tlsReason says what went wrong in a handshake, without the host's name.
func tlsReason(err error, lowest uint16) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for other names"
	}
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.Expired {
		return "the certificate has expired, or is not valid yet"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate was made by an authority that is not trusted"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return fmt.Sprintf("the handshake failed: want %s or later", tls.VersionName(lowest))
}
