package api

import (
	"cmp"
	"context"
	"time"

	"github.com/postrider/postrider/pkg/egress"
)

// Prober tries whether an endpoint's host can be reached, without sending a request: [egress.Transport] is one.
type Prober interface {
	// Probe goes the way to the URL's host under the guard of deliveries, with what they would bring to the handshake (nil
	// for nothing), and returns the steps it made; what fails is the last one. ctx bounds all of it.
	Probe(ctx context.Context, url string, own *egress.TLS) []egress.Finding
}

var _ Prober = (*egress.Transport)(nil)

// States of an [EndpointCheck].
const (
	checkOK      = "ok"
	checkFailed  = "failed"
	checkSkipped = "skipped"
)

// probeTimeout bounds a probe: what takes longer to shake hands is not fit for deliveries, most of which have 15 s.
const probeTimeout = 10 * time.Second

// reach tells how far one gets on the way to the URL, with what attempts would bring to the handshake. What is refused
// anyway is not tried: the guard's refusal is the answer then, and nothing leaves this process.
func (a *API) reach(ctx context.Context, url string, own *egress.TLS, refused bool) []EndpointCheck {
	var found []egress.Finding
	why := ""
	switch {
	case refused:
		why = "the URL is not allowed"
	case a.opts.Store.Snapshot().EgressStopped() != nil:
		why = "nothing leaves at the moment: an operator has stopped it"
	case a.opts.Prober == nil:
		why = "this installation does not probe"
	default:
		probing, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		found = a.opts.Prober.Probe(probing, url, own)
	}
	checks := make([]EndpointCheck, 0, 3)
	for i, step := range []egress.Step{egress.StepResolves, egress.StepConnects, egress.StepTLS} {
		c := EndpointCheck{Name: string(step), Status: checkSkipped, Detail: cmp.Or(why, "there is none for this URL")}
		if i < len(found) {
			c.Status, c.Detail = checkOK, found[i].Detail
			if !found[i].OK {
				c.Status, why = checkFailed, "the step before failed"
			}
		}
		checks = append(checks, c)
	}
	return checks
}
