package pipeline

import (
	"errors"
	"time"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/transform"
)

// Results of transformations beside the kinds of [transform.Error], as labels.
const (
	transformMade      = "made"
	transformCancelled = "cancelled"
	transformSyntax    = "bad_program"
)

// transform makes the message of a delivery whose subscription has a transformation. It reports false if the delivery ends
// with that, or was given up. The breaker is asked after it and not before: a probe that sends nothing would say nothing of
// the endpoint, and what is not sent need not wait for it. A program that fails is not the endpoint's fault: it opens no
// breaker and counts in no failure policy. Trying again would fail again, so the delivery goes to the dead letters, from where
// it can be redriven once the program is mended.
func (d *Deliverer) transform(c *candidate) bool {
	c.started = time.Now()
	message, err := d.message(c)
	switch kind, failed := transformKind(err); {
	case failed:
		d.countTransformation(kind)
		d.untransformed(c, err)
		return false
	case err != nil && c.lane.owner.ctx.Err() != nil:
		d.abandon(c.item)
		return false
	case err != nil:
		return true // of the sender: the attempt says what it is
	case message.Cancelled:
		d.countTransformation(transformCancelled)
		d.notSent(c)
		return false
	}
	d.countTransformation(transformMade)
	c.message = &message
	return true
}

// message runs the program when it is its turn: each takes a processor and memory, see package transform.
func (d *Deliverer) message(c *candidate) (profile.Message, error) {
	with := d.prepared(c)
	if with.err != nil {
		return profile.Message{}, with.err
	}
	ctx := c.lane.owner.ctx
	select {
	case d.programs <- struct{}{}:
		defer func() { <-d.programs }()
	case <-ctx.Done():
		return profile.Message{}, ctx.Err()
	}
	m, err := with.sender.Message(ctx, c.d)
	if err != nil || m.Cancelled || m.URL == c.sub.URL || d.opts.CheckURL == nil {
		return m, err
	}
	if d.opts.CheckURL(m.URL) != nil { // its error may hold what the program took from the event
		err = &transform.Error{Kind: transform.KindOutput, Field: "url", Detail: "is not allowed for endpoints here"}
	}
	return m, err
}

// transformKind reports whether err is a program's, and of what kind.
func transformKind(err error) (kind string, failed bool) {
	if e, ok := errors.AsType[*transform.Error](err); ok {
		return string(e.Kind), true
	}
	_, syntax := errors.AsType[*transform.SyntaxError](err)
	return transformSyntax, syntax
}

func (d *Deliverer) countTransformation(result string) {
	d.opts.Metrics.transformations.WithLabelValues(result).Inc()
}

// untransformed ends a delivery of which the program made no request.
func (d *Deliverer) untransformed(c *candidate, err error) {
	c.span = d.opts.Tracer.Attempt(c.d, c.started)
	resp := attempt.Response{Result: outcome.ResultTransformation, Detail: err.Error(), Started: c.started}
	d.sched.release(c.lane)
	d.settle(c, resp, profile.Judgement{Result: resp.Result}, health{},
		verdict{Verdict: outcome.Dead, reason: outcome.ReasonNotRetryable})
}

// notSent ends a delivery that the program cancelled: it counts as delivered, and as nothing else.
func (d *Deliverer) notSent(c *candidate) {
	row := d.rowFor(c, verdict{Verdict: outcome.Delivered, reason: outcome.ReasonNotSent}, time.Now())
	d.remember(c.item)
	d.sched.release(c.lane)
	if closesLetters(c.d) && !d.write(c.item, d.opts.Topics.deliveredMark(c.d)) {
		return
	}
	d.record(c.item, row, nil)
}
