package canary

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/sign"
)

// Path is where the API's listener receives.
const Path = "/canary"

// maxBody is far more than an event of the canary has, in bytes.
const maxBody = 4 << 10

// body is what the profile standard makes of an event.
type body struct {
	Type string  `json:"type"`
	Data payload `json:"data"`
}

// ServeHTTP receives events. Whoever else calls learns nothing: what is not signed with the canary's secret is answered 401.
func (c *Canary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	sub, ok := c.opts.Registry.Snapshot().Subscription(Subscription)
	var in body
	if ok {
		_, err = sign.Verify(scheme, sub.Secrets, sign.Received{Header: r.Header.Get, Body: text}, time.Now(), sign.DefaultTolerance)
	}
	if !ok || err != nil || json.Unmarshal(text, &in) != nil || in.Type != EventType {
		c.metrics.events.WithLabelValues(resultRefused).Inc()
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	c.received(in.Data)
	w.WriteHeader(http.StatusNoContent)
}

// received notes an event, which may be another process's. Their clocks may be apart, so that it seems to come before it was sent.
func (c *Canary) received(p payload) {
	now, sent := time.Now(), time.UnixMicro(p.Sent)
	c.metrics.events.WithLabelValues(resultReceived).Inc()
	c.metrics.latency.Observe(max(now.Sub(sent), 0).Seconds())
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, p.Event)
	if sent.After(c.newest) {
		c.newest = sent
	}
}
