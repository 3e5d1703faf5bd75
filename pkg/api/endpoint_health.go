package api

import (
	"context"
	"time"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// HealthInput says of which time.
type HealthInput struct {
	EndpointPath
	Since time.Time `query:"since" doc:"From then on, RFC 3339; the last 24 hours if left out."`
	Until time.Time `query:"until" doc:"Up to then; up to now if left out."`
	Step  string    `query:"step" enum:"minute,hour" default:"hour" doc:"Of what the series is made. Both ends of the time are widened to whole steps; there are 1,440 at most."`
}

// HealthOut is how an endpoint did.
type HealthOut struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	Step  string    `json:"step" enum:"minute,hour"`
	Total CountsOut `json:"total"`
	// Series has no entry for a step in which nothing happened.
	Series []HealthStepOut `json:"series" nullable:"false" doc:"Oldest first; steps in which nothing happened are left out."`
}

// HealthStepOut is a step of the series.
type HealthStepOut struct {
	Start time.Time `json:"start"`
	CountsOut
}

// CountsOut are numbers of what happened in a time.
type CountsOut struct {
	Attempts    int64    `json:"attempts"`
	Successes   int64    `json:"successes"`
	SuccessRate *float64 `json:"successRate" nullable:"true" minimum:"0" maximum:"1" doc:"The share of attempts that succeeded; null without any."`
	// Classes has attempts by what was answered, Results by what that came to.
	Classes  ClassesOut               `json:"classes"`
	Results  map[outcome.Result]int64 `json:"results" nullable:"false" doc:"Attempts by result; those that did not occur are left out."`
	Duration DurationsOut             `json:"duration"`

	Parked    int64 `json:"parked" doc:"Deliveries that were put back without an attempt, the first time since the last one."`
	Cancelled int64 `json:"cancelled" doc:"Deliveries that nobody wanted any more."`
	NotSent   int64 `json:"notSent" doc:"Deliveries that a transformation cancelled."`
	Dead      int64 `json:"dead" doc:"Deliveries that ended without a last attempt, since retries are suspended."`
}

// ClassesOut are attempts by what was answered.
type ClassesOut struct {
	Success     int64 `json:"success" doc:"What the profile takes for success."`
	Redirect    int64 `json:"redirect" doc:"3xx."`
	ClientError int64 `json:"clientError" doc:"4xx."`
	ServerError int64 `json:"serverError" doc:"5xx and everything else that was answered."`
	NoResponse  int64 `json:"noResponse" doc:"Nothing was answered: timeouts, connections that failed, requests that could not be made."`
}

// DurationsOut are response times in milliseconds; null without an attempt.
type DurationsOut struct {
	AverageMs *float64 `json:"averageMs" nullable:"true"`
	P50Ms     *float64 `json:"p50Ms" nullable:"true"`
	P95Ms     *float64 `json:"p95Ms" nullable:"true"`
	P99Ms     *float64 `json:"p99Ms" nullable:"true"`
}

func countsOut(c *view.Counts) CountsOut {
	out := CountsOut{
		Attempts: c.Attempts(), Successes: c.Successes(), Results: c.Results, Classes: classesOut(c.Results),
		Parked: c.Parked, Cancelled: c.Cancelled, NotSent: c.NotSent, Dead: c.Dead,
	}
	if out.Results == nil {
		out.Results = map[outcome.Result]int64{}
	}
	rate, ok := c.SuccessRate()
	if !ok {
		return out
	}
	out.SuccessRate = &rate
	out.Duration = DurationsOut{
		AverageMs: milliseconds(c.Durations.Mean()), P50Ms: milliseconds(c.Durations.Quantile(0.5)),
		P95Ms: milliseconds(c.Durations.Quantile(0.95)), P99Ms: milliseconds(c.Durations.Quantile(0.99)),
	}
	return out
}

func milliseconds(d time.Duration) *float64 {
	return new(float64(d.Round(time.Microsecond).Microseconds()) / 1000)
}

func classesOut(results map[outcome.Result]int64) (out ClassesOut) {
	for result, n := range results {
		switch result {
		case outcome.ResultSuccess:
			out.Success += n
		case outcome.ResultRedirect:
			out.Redirect += n
		case outcome.ResultClientError, outcome.ResultGone, outcome.ResultThrottled:
			out.ClientError += n
		case outcome.ResultServerError:
			out.ServerError += n
		default: // the rest of them, or one of a later version
			out.NoResponse += n
		}
	}
	return out
}

const (
	defaultHealth = 24 * time.Hour
	defaultStats  = 7 * 24 * time.Hour
	// maxHealth is how many steps there are at most, as in the views: a day of minutes, 60 of hours.
	maxHealth = 1440
)

// span is the time that a request asks about.
func (a *API) span(since, until time.Time, usual, step time.Duration) (from, to time.Time, err error) {
	if to = until; to.IsZero() {
		to = a.opts.Now()
	}
	if from = since; from.IsZero() {
		from = to.Add(-usual)
	}
	from, to = from.UTC(), to.UTC()
	bad := func(field, detail string) error {
		return &ValidationError{Detail: []Problem{problem("query", field, detail)}}
	}
	switch {
	case from.After(to):
		return from, to, bad("since", "is after until")
	case to.Sub(from) > maxHealth*step:
		return from, to, bad("since", "is more than "+(maxHealth*step).String()+" before until: want less, or larger steps")
	}
	return from, to, nil
}

func (a *API) endpointHealth(ctx context.Context, in *HealthInput) (*answer[HealthOut], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	step, name := time.Hour, "hour"
	if in.Step == "minute" {
		step, name = time.Minute, in.Step
	}
	from, to, err := a.span(in.Since, in.Until, defaultHealth, step)
	if err != nil {
		return nil, err
	}
	h, err := a.opts.EndpointViews.Health(ctx, view.HealthQuery{Subscription: s.ID, From: from, To: to, Step: step})
	if err != nil {
		return nil, a.away(ctx, "reading health", err)
	}
	out := HealthOut{Since: from, Until: to, Step: name, Total: countsOut(&h.Total), Series: make([]HealthStepOut, len(h.Series))}
	for i := range h.Series {
		out.Series[i] = HealthStepOut{h.Series[i].Start, countsOut(&h.Series[i].Counts)}
	}
	return viewAnswer(ctx, a, out, 0), nil
}

// StatsInput says of which time.
type StatsInput struct {
	EndpointPath
	Since time.Time `query:"since" doc:"From then on, RFC 3339."`
	Until time.Time `query:"until" doc:"Up to then; up to now if left out."`
}

// EndpointStats are numbers of attempts by status.
type EndpointStats struct {
	Success  int64 `json:"success"`
	Pending  int64 `json:"pending"`
	Sending  int64 `json:"sending"`
	Fail     int64 `json:"fail"`
	Canceled int64 `json:"canceled"`
}

func (a *API) endpointStats(ctx context.Context, in *StatsInput) (*answer[EndpointStats], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	from, to, err := a.span(in.Since, in.Until, defaultStats, time.Hour)
	if err != nil {
		return nil, err
	}
	h, err := a.opts.EndpointViews.Health(ctx, view.HealthQuery{Subscription: s.ID, From: from, To: to, Step: time.Hour})
	if err != nil {
		return nil, a.away(ctx, "reading the numbers of attempts", err)
	}
	c := &h.Total
	return viewAnswer(ctx, a, EndpointStats{
		Success: c.Successes(), Fail: c.Attempts() - c.Successes(), Canceled: c.Cancelled + c.NotSent,
	}, 0), nil
}
