package demo

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Receipt is one request to an endpoint whose signature was checked.
type Receipt struct {
	// Endpoint is its name.
	Endpoint string
	// Ref is the message id or the event's id.
	Ref string
	// Data is the digest of the event's data in the body.
	Data [sha256.Size]byte
	// Err says why the signature is not good; such a request is answered with 401.
	Err error
	// Accepted means that the endpoint answers with success.
	Accepted bool
}

// Receiver answers for all endpoints of the demo, each below its name: POST /crm.
type Receiver struct {
	endpoints map[string]*receiving
	note      func(Receipt)
}

type receiving struct {
	profile   string
	verify    verifier
	behaviour *behaviour
}

// maxBody is the most a request may hold: the event limit of 1 MiB and room for an envelope.
const maxBody = 2 << 20

// maxHang is how long a request that is never answered is held at most; senders give up earlier.
const maxHang = time.Minute

// NewReceiver returns a receiver that calls note for every request, before it is answered. note may be called
// concurrently.
func NewReceiver(endpoints []Endpoint, note func(Receipt)) (*Receiver, error) {
	r := &Receiver{endpoints: map[string]*receiving{}, note: note}
	for _, e := range endpoints {
		if len(e.Secrets) == 0 {
			return nil, fmt.Errorf("endpoint %s: has no secret", e.Name)
		}
		verify, err := newVerifier(e.Profile, e.Secrets[0])
		if err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", e.Name, err)
		}
		r.endpoints[e.Name] = &receiving{profile: e.Profile, verify: verify, behaviour: newBehaviour(e.Name)}
	}
	return r, nil
}

// ServeHTTP implements http.Handler: it verifies first, then behaves as its endpoint does.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(req.URL.Path, "/")
	e := r.endpoints[name]
	if e == nil || req.Method != http.MethodPost {
		http.NotFound(w, req)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "reading the body", http.StatusBadRequest)
		return
	}
	receipt := Receipt{Endpoint: name, Data: sha256.Sum256(payload(e.profile, body))}
	if receipt.Ref, receipt.Err = e.verify(req.Header, body); receipt.Err != nil {
		r.note(receipt)
		http.Error(w, receipt.Err.Error(), http.StatusUnauthorized)
		return
	}
	a := e.behaviour.next()
	if !a.wait(req) {
		r.note(receipt)
		return
	}
	receipt.Accepted = a.status == http.StatusOK
	r.note(receipt)
	if a.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = fmt.Fprintf(w, "{%q:%q}\n", "status", strings.ToLower(http.StatusText(a.status))) // who hung up does not want it
}

// wait takes the time that the answer takes, and reports whether there is anybody left to answer.
func (a answer) wait(req *http.Request) bool {
	after := a.after
	if a.hang {
		after = maxHang
	}
	t := time.NewTimer(after)
	defer t.Stop()
	select {
	case <-t.C:
		return !a.hang
	case <-req.Context().Done():
		return false
	}
}
