package egress

import (
	"container/list"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net/http"
	"sync"
)

// TLS is what a subscription brings of its own to the handshake: a client certificate, the authorities that the
// endpoint's certificate must come from, or both. It is read-only.
type TLS struct {
	key         [sha256.Size]byte // of the contents: subscriptions with the same ones share connections
	certificate *tls.Certificate  // nil for none
	roots       *x509.CertPool    // nil for the transport's
}

// NewTLS reads a client certificate with its key, and certificates of authorities, both PEM; empty for none. Its errors
// hold nothing of what they read.
func NewTLS(identity, ca string) (*TLS, error) {
	t := &TLS{}
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
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(identity)))
	h.Write(size[:])
	h.Write([]byte(identity))
	h.Write([]byte(ca))
	h.Sum(t.key[:0])
	return t, nil
}

// apply returns config with what t brings, and a session cache of its own: a resumed session carries the identity that
// it was opened with.
func (t *TLS) apply(config *tls.Config, sessions int) *tls.Config {
	config = config.Clone()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(sessions)
	if t.certificate != nil {
		config.Certificates = []tls.Certificate{*t.certificate}
	}
	if t.roots != nil {
		config.RootCAs = t.roots
	}
	return config
}

const (
	// maxOwnTLS bounds the transports of subscriptions with a TLS of their own, the least recently used goes first.
	maxOwnTLS = 512
	// idleOwnTLS bounds the idle connections of each, so that together they are no more than [DefaultMaxIdleConns].
	idleOwnTLS = 8
)

// pool holds a transport for each TLS in use. A connection belongs to the transport that opened it, so it is never used
// under another identity or after a check against other authorities.
type pool struct {
	base *http.Transport // is copied, never used
	max  int

	mu     sync.Mutex
	byKey  map[[sha256.Size]byte]*list.Element
	recent list.List // of *pooled, the last used in front
}

type pooled struct {
	key  [sha256.Size]byte
	http *http.Transport
}

func newPool(base *http.Transport) *pool {
	return &pool{base: base, max: maxOwnTLS, byKey: map[[sha256.Size]byte]*list.Element{}}
}

// get returns the transport of own.
func (p *pool) get(own *TLS) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.byKey[own.key]; ok {
		p.recent.MoveToFront(e)
		return e.Value.(*pooled).http //nolint:forcetypeassert // the list holds nothing else
	}
	for len(p.byKey) >= p.max {
		p.drop(p.recent.Back())
	}
	t := p.base.Clone()
	t.TLSClientConfig = own.apply(p.base.TLSClientConfig, idleOwnTLS)
	t.MaxIdleConns = min(t.MaxIdleConns, idleOwnTLS)
	t.MaxIdleConnsPerHost = min(t.MaxIdleConnsPerHost, idleOwnTLS)
	p.byKey[own.key] = p.recent.PushFront(&pooled{key: own.key, http: t})
	return t
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
