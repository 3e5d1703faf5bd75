package egress

import (
	"cmp"
	"container/list"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// LowestTLS is the lowest version for who says nothing else. TLS 1.0 and 1.1 are deprecated (RFC 8996).
const LowestTLS = tls.VersionTLS12

// TLS is what a subscription and its profile bring of their own to the handshake: a client certificate, the authorities
// that the endpoint's certificate must come from, another lowest version. It is read-only.
type TLS struct {
	key         [sha256.Size]byte // of the contents: subscriptions with the same ones share connections
	certificate *tls.Certificate  // nil for none
	roots       *x509.CertPool    // nil for the transport's
	lowest      uint16
}

// Key tells apart what must not share connections: zero of nil, and equal where the contents are.
func (t *TLS) Key() (key [sha256.Size]byte) {
	if t != nil {
		key = t.key
	}
	return key
}

// NewTLS reads a client certificate with its key, and certificates of authorities, both PEM; empty for none. lowest is
// tls.VersionTLS10 to tls.VersionTLS13, or 0 for [LowestTLS]. Without anything of its own it returns nil. Its errors
// hold nothing of what they read.
func NewTLS(identity, ca string, lowest uint16) (*TLS, error) {
	t := &TLS{lowest: cmp.Or(lowest, LowestTLS)}
	if identity == "" && ca == "" && t.lowest == LowestTLS {
		return nil, nil
	}
	if t.lowest < tls.VersionTLS10 || t.lowest > tls.VersionTLS13 {
		return nil, fmt.Errorf("minTLS: %#04x, want TLS 1.0 to 1.3", t.lowest)
	}
	if identity != "" {
		pair, err := tls.X509KeyPair([]byte(identity), []byte(identity))
		if err != nil {
			return nil, errors.New("clientIdentity: want a certificate and its private key, PEM")
		}
		t.certificate = &pair
	}
	if ca != "" {
		t.roots = x509.NewCertPool()
		if !t.roots.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("ca: want at least one certificate, PEM")
		}
	}
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, []uint64{uint64(t.lowest), uint64(len(identity))}) // a hash takes all
	h.Write([]byte(identity))
	h.Write([]byte(ca))
	h.Sum(t.key[:0])
	return t, nil
}

// personal reports whether few subscriptions have the same: a lowest version belongs to all of a profile's.
func (t *TLS) personal() bool { return t.certificate != nil || t.roots != nil }

// apply returns config with what t brings, and a session cache of its own: a resumed session carries the identity and the
// version that it was opened with.
func (t *TLS) apply(config *tls.Config, sessions int) *tls.Config {
	config = config.Clone()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(sessions)
	config.MinVersion = cmp.Or(t.lowest, LowestTLS)
	if config.MinVersion < tls.VersionTLS12 {
		config.CipherSuites = oldSuites()
	}
	if t.certificate != nil {
		config.Certificates = []tls.Certificate{*t.certificate}
	}
	if t.roots != nil {
		config.RootCAs = t.roots
	}
	return config
}

// oldSuites are Go's own and, last in its order of preference, those with RSA key exchange, which it does not offer any
// more (no forward secrecy) and many a server of before TLS 1.2 has nothing beside. 3DES and RC4 stay out.
func oldSuites() []uint16 {
	suites := []uint16{
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	}
	for _, s := range tls.CipherSuites() {
		suites = append(suites, s.ID)
	}
	return suites
}

const (
	// maxOwnTLS bounds the transports of subscriptions with a TLS of their own, the least recently used goes first.
	maxOwnTLS = 512
	// idleOwnTLS bounds the idle connections of each, so that together they are no more than [DefaultMaxIdleConns]. A
	// lowest version alone, of which there are three, is of whole profiles: it has the limits of the transport itself.
	idleOwnTLS = 8
)

// pool holds a transport for each TLS in use. A connection belongs to the transport that opened it, so it is never used
// under another identity, after a check against other authorities or with a lower version.
type pool struct {
	base *http.Transport // is copied, never used
	tls  *tls.Config     // likewise
	max  int

	mu     sync.Mutex
	byKey  map[[sha256.Size]byte]*list.Element
	recent list.List // of *pooled, the last used in front
}

type pooled struct {
	key  [sha256.Size]byte
	tls  *tls.Config // is copied, never used
	http *http.Transport
}

func newPool(base *http.Transport, secure *tls.Config) *pool {
	return &pool{base: base, tls: secure, max: maxOwnTLS, byKey: map[[sha256.Size]byte]*list.Element{}}
}

// get returns the transport and the configuration of own.
func (p *pool) get(own *TLS) *pooled {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.byKey[own.key]; ok {
		p.recent.MoveToFront(e)
		return e.Value.(*pooled) //nolint:forcetypeassert // the list holds nothing else
	}
	for len(p.byKey) >= p.max {
		p.drop(p.recent.Back())
	}
	t := p.base.Clone()
	if own.personal() {
		t.MaxIdleConns = min(t.MaxIdleConns, idleOwnTLS)
		t.MaxIdleConnsPerHost = min(t.MaxIdleConnsPerHost, idleOwnTLS)
	}
	made := &pooled{key: own.key, tls: own.apply(p.tls, t.MaxIdleConns), http: t}
	t.TLSClientConfig = made.tls.Clone()
	p.byKey[own.key] = p.recent.PushFront(made)
	return made
}

// drop forgets a transport. Attempts under way end with it; their connections close then.
func (p *pool) drop(e *list.Element) {
	old := p.recent.Remove(e).(*pooled) //nolint:forcetypeassert // the list holds nothing else
	delete(p.byKey, old.key)
	old.http.CloseIdleConnections()
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.recent.Len() > 0 {
		p.drop(p.recent.Back())
	}
}
