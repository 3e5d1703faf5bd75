package pipeline

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/failure"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// What an endpoint answers is cut to its bounds, what the URL and the subscription hold as secrets is in no record.
func TestOutcomeIsBoundedAndHoldsNoSecret(t *testing.T) {
	for _, c := range []struct {
		name       string
		body       string
		cut        bool // by the attempt already
		wantBody   string
		wantMarked bool
	}{
		{"nothing", "", false, "", false},
		{"short", "ok", false, "ok", false},
		{"short and cut", "ok", true, "ok", true},
		{"at the bound", strings.Repeat("a", maxBody), false, strings.Repeat("a", maxBody), false},
		{"over the bound", strings.Repeat("a", maxBody+1), false, strings.Repeat("a", maxBody), true},
		{"a rune at the bound", strings.Repeat("a", maxBody-1) + "é", false, strings.Repeat("a", maxBody-1), true},
		{"no text", "a\x00\xff\xfe", false, "a\x00�", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sub := subscriptionNamed("one")
				sub.Headers = map[string]string{"X-Token": "secret"}
				s := newStage(t, DelivererOptions{Workers: 1}, answers(func(context.Context, *attempt.Request) (attempt.Response, error) {
					return attempt.Response{
						Result: outcome.ResultServerError, Status: 503, Body: []byte(c.body), Truncated: c.cut,
						Detail: strings.Repeat("d", maxDetail+1), Duration: 1500 * time.Microsecond,
					}, nil
				}), sub)
				d := deliveryOf(sub, 1)
				d.Attempts, d.Channels = 2, []string{"vip"} // the last one
				s.sendDelivery(d)
				synctest.Wait()
				row := s.b.outcomes(t)[0]
				require.Equal(t, d.Channels, row.Channels)
				require.Equal(t, c.wantBody, row.ResponseBody)
				require.Equal(t, c.wantMarked, row.ResponseTruncated)
				require.Len(t, row.Detail, maxDetail)
				require.Equal(t, "https://one.example.com/in", row.URL)
				require.InDelta(t, 1.5, row.DurationMS, 0.001)
				require.Len(t, row.BodySHA256, 64)
				for _, r := range s.b.log {
					require.NotContains(t, string(r.Value), "secret", r.Topic)
					require.NotContains(t, string(r.Value), whsec, r.Topic)
					require.True(t, utf8.Valid(r.Value))
					for _, h := range r.Headers {
						require.NotContains(t, string(h.Value), "secret", "%s %s", r.Topic, h.Key)
					}
				}
			})
		})
	}
}

// What the attempt knows of the connection and the answer is in the row; a step that was not made is not.
func TestOutcomeSaysHowTheAttemptWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.URL = "https://one.example.com/in?token=hush"
		replies := make(chan attempt.Response, 2)
		replies <- attempt.Response{
			Result: outcome.ResultSuccess, Status: 200, FirstByte: 7500 * time.Microsecond,
			Timings: egress.Timings{DNS: time.Nanosecond, Connect: time.Millisecond, TLS: 2 * time.Millisecond},
			Headers: "server: x\nset-cookie: [redacted]\n", HeadersTruncated: true, HeadersRedacted: true,
		}
		replies <- attempt.Response{Result: outcome.ResultSuccess, Status: 200, FirstByte: time.Millisecond}
		s := newStage(t, DelivererOptions{Workers: 1}, answers(func(context.Context, *attempt.Request) (attempt.Response, error) {
			return <-replies, nil
		}), sub)
		s.sendDelivery(deliveryOf(sub, 1))
		s.sendDelivery(deliveryOf(sub, 2))
		synctest.Wait()
		rows := s.b.outcomes(t)
		require.Len(t, rows, 2)
		first, second := rows[0], rows[1]
		require.Equal(t, []float64{0.001, 1, 2, 7.5}, []float64{first.DNSMS, first.ConnectMS, first.TLSMS, first.FirstByteMS})
		require.Equal(t, outcome.Headers("server: x\nset-cookie: [redacted]\n"), first.ResponseHeaders)
		require.True(t, first.ResponseHeadersTruncated)
		require.Equal(t, "https://one.example.com/in", first.URL)
		require.Equal(t, []outcome.Redaction{outcome.RedactedURL, outcome.RedactedResponseHeaders}, first.Redacted)
		require.Equal(t, []float64{0, 0, 0, 1}, []float64{second.DNSMS, second.ConnectMS, second.TLSMS, second.FirstByteMS})
		require.Empty(t, second.ResponseHeaders)
		require.Equal(t, []outcome.Redaction{outcome.RedactedURL}, second.Redacted)
	})
}

func TestShownURL(t *testing.T) {
	for _, c := range []struct {
		raw, want, withQuery string
		cut, cutWithQuery    bool
	}{
		{"https://example.com/in", "https://example.com/in", "https://example.com/in", false, false},
		{"https://example.com/a b", "https://example.com/a%20b", "https://example.com/a%20b", false, false},
		{"https://u:p@example.com:8443/in?token=x", "https://example.com:8443/in", "https://example.com:8443/in?token=x", true, true},
		{"https://example.com/in?a=b", "https://example.com/in", "https://example.com/in?a=b", true, false},
		{"https://example.com/#x", "https://example.com/", "https://example.com/", true, true},
		{"https://[::1", "", "", true, true},
	} {
		got, cut := shownURL(c.raw, false)
		require.Equal(t, c.want, got, c.raw)
		require.Equal(t, c.cut, cut, c.raw)
		got, cut = shownURL(c.raw, true)
		require.Equal(t, c.withQuery, got, c.raw)
		require.Equal(t, c.cutWithQuery, cut, c.raw)
	}
}

// What may not be kept is not there, and the row says so; what there was not is not said to be missing.
func TestOutcomesThatAreRedacted(t *testing.T) {
	const headers = "server: x\n"
	for name, c := range map[string]struct {
		keep     OutcomeOptions
		sub      bool // holds its responses back
		body     string
		headers  outcome.Headers
		want     outcome.Outcome
		redacted []outcome.Redaction
	}{
		"by default":          {OutcomeOptions{}, false, "ok", headers, outcome.Outcome{URL: "https://one.example.com/in", ResponseBody: "ok", ResponseHeaders: headers}, []outcome.Redaction{outcome.RedactedURL}},
		"with queries":        {OutcomeOptions{KeepQueries: true}, false, "ok", headers, outcome.Outcome{URL: "https://one.example.com/in?q=1", ResponseBody: "ok", ResponseHeaders: headers}, nil},
		"without bodies":      {OutcomeOptions{DropBodies: true, KeepQueries: true}, false, "ok", headers, outcome.Outcome{URL: "https://one.example.com/in?q=1", ResponseHeaders: headers}, []outcome.Redaction{outcome.RedactedResponseBody}},
		"without headers":     {OutcomeOptions{DropHeaders: true, KeepQueries: true}, false, "ok", headers, outcome.Outcome{URL: "https://one.example.com/in?q=1", ResponseBody: "ok"}, []outcome.Redaction{outcome.RedactedResponseHeaders}},
		"of a subscription":   {OutcomeOptions{KeepQueries: true}, true, "ok", headers, outcome.Outcome{URL: "https://one.example.com/in?q=1"}, []outcome.Redaction{outcome.RedactedResponseBody, outcome.RedactedResponseHeaders}},
		"where there is none": {OutcomeOptions{DropBodies: true, DropHeaders: true, KeepQueries: true}, true, "", "", outcome.Outcome{URL: "https://one.example.com/in?q=1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sub := subscriptionNamed("one")
				sub.URL = "https://one.example.com/in?q=1"
				sub.RedactResponses = c.sub
				s := newStage(t, DelivererOptions{Workers: 1, Outcomes: c.keep}, answers(func(context.Context, *attempt.Request) (attempt.Response, error) {
					return attempt.Response{Result: outcome.ResultSuccess, Status: 200, Body: []byte(c.body), Headers: c.headers}, nil
				}), sub)
				s.sendDelivery(deliveryOf(sub, 1))
				synctest.Wait()
				got := s.b.outcomes(t)[0]
				require.Equal(t, c.want.URL, got.URL)
				require.Equal(t, c.want.ResponseBody, got.ResponseBody)
				require.Equal(t, c.want.ResponseHeaders, got.ResponseHeaders)
				require.Equal(t, c.redacted, got.Redacted)
			})
		})
	}
}

// The retry record counts the attempt, keeps the first and raises the pass; a park counts as no attempt; a dead letter says
// what the last attempt came to.
func TestFollowUpRecords(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_000).UTC()
	base := func(sub *subscription.Subscription) *delivery.Delivery {
		d := deliveryOf(sub, 1)
		d.Attempts, d.Pass, d.Parks, d.First = 1, 4, 3, at
		return d
	}
	for _, c := range []struct {
		name   string
		status int
		topic  string
		divert bool
		change func(*delivery.Delivery)
		check  func(t *testing.T, d *delivery.Delivery)
	}{
		{"retry", 500, "retry.5s", false, nil, func(t *testing.T, d *delivery.Delivery) {
			require.Equal(t, 2, d.Attempts)
			require.Equal(t, 5, d.Pass)
			require.Zero(t, d.Parks)
			require.True(t, d.First.Equal(at))
			require.Equal(t, time.Now().Add(10*time.Second).UTC(), d.Due)
			require.Equal(t, "failed", d.Reason)
		}},
		{"dead", 500, "deadletters", false, func(d *delivery.Delivery) { d.Attempts = 2 }, func(t *testing.T, d *delivery.Delivery) {
			require.Equal(t, 3, d.Attempts)
			require.Equal(t, 4, d.Pass, "it is not written again")
			require.Zero(t, d.Due)
			require.Equal(t, "exhausted", d.Reason)
		}},
		{"park", 500, "retry.5s", true, nil, func(t *testing.T, d *delivery.Delivery) {
			require.Equal(t, 1, d.Attempts)
			require.Equal(t, 5, d.Pass)
			require.Equal(t, 4, d.Parks)
			require.True(t, d.First.Equal(at))
			require.Equal(t, "window_full", d.Reason)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sub := subscriptionNamed("one")
				s := newStage(t, DelivererOptions{Workers: 1}, status(c.status), sub)
				d := base(sub)
				if c.change != nil {
					c.change(d)
				}
				if c.divert {
					l := s.lane(sub)
					require.True(t, s.p.Tracker().Begin(0))
					l.blocked = true
					s.d.sched.admit(l.owner, []*item{{d: d}}, time.Now())
					s.d.sched.divertBelow(l.owner, 1, time.Now())
				} else {
					s.sendDelivery(d)
				}
				synctest.Wait()
				out := s.b.acknowledged(c.topic)
				require.Len(t, out, 1)
				next, err := decode(out[0])
				require.NoError(t, err)
				require.Equal(t, d.ID, next.ID)
				require.Equal(t, d.Trigger, next.Trigger)
				c.check(t, next)
				if c.divert {
					require.Empty(t, s.b.outcomes(t), "only the first park after an attempt is recorded")
				}
				require.Zero(t, s.inFlight())
			})
		})
	}
}

// A redrive keeps the trigger and raises the pass, so that two are one; a resend has a trigger of its own each time.
func TestSenderByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub, b := subscriptionNamed("one"), newBroker(t)
		by := Sender{Out: b}
		d := deliveryOf(sub, 1)
		d.Channels = []string{"vip"}
		d.Attempts, d.Pass, d.Parks, d.First, d.Due = 5, 7, 2, time.UnixMilli(1), time.UnixMilli(2)
		dead := encode("deadletters", d)
		a, err := redriven(dead)
		require.NoError(t, err)
		again, err := redriven(dead)
		require.NoError(t, err)
		require.Equal(t, a.Key(), again.Key())
		require.Equal(t, d.Pass+1, a.Pass)
		require.Equal(t, 5, a.Base, "the retry policy starts anew")
		require.Zero(t, a.First)
		first, err := by.Resend(t.Context(), dead)
		require.NoError(t, err)
		second, err := by.Resend(t.Context(), dead)
		require.NoError(t, err)
		require.NotEqual(t, first.Key(), second.Key())
		require.Equal(t, d.ID, first.ID)
		require.Zero(t, first.Attempts)
		require.Equal(t, d.Channels, first.Channels)
		require.Len(t, b.acknowledged("deliveries"), 2)
		_, err = redriven(encode("deadletters", &delivery.Delivery{}))
		require.ErrorContains(t, err, "reading dead letter deadletters/0/0")
	})
}

// The probe of a half-open breaker is alone; the others wait in their lane for its end and not for a timer.
func TestOthersWaitForTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		answer := make(chan int)
		s := newStage(t, DelivererOptions{Workers: 8}, answers(func(ctx context.Context, _ *attempt.Request) (attempt.Response, error) {
			select {
			case code := <-answer:
				return response(code), nil
			case <-ctx.Done():
				return attempt.Response{}, context.Cause(ctx)
			}
		}), sub)
		for n := range 5 {
			s.sendDelivery(deliveryOf(sub, n))
			answer <- 500
			synctest.Wait()
		}
		require.InDelta(t, 1, figure(t, s.d.opts.Metrics.breakers), 0)
		s.sendDelivery(deliveryOf(sub, 5))
		synctest.Wait()
		require.Zero(t, s.inFlight(), "parked at once")
		time.Sleep(11 * time.Second)
		s.sendDelivery(deliveryOf(sub, 6), deliveryOf(sub, 7), deliveryOf(sub, 8), deliveryOf(sub, 9))
		synctest.Wait()
		l := s.lane(sub)
		require.True(t, l.blocked)
		require.Equal(t, 1, l.inFlight, "the probe")
		require.Len(t, l.queue, 3)
		answer <- 200
		synctest.Wait()
		require.Equal(t, 1, l.limit.Value(), "it starts with one")
		require.Equal(t, 1, l.inFlight)
		for range 3 {
			answer <- 200
		}
		synctest.Wait()
		require.Zero(t, s.inFlight())
		require.Zero(t, figure(t, s.d.opts.Metrics.breakers))
		rows := s.b.outcomes(t)
		require.Equal(t, outcome.Delivered, rows[len(rows)-1].Verdict)
	})
}

// The records that Postrider writes for itself can be read by it.
func TestStateRecordsRoundTrip(t *testing.T) {
	s := stateRecord{Version: stateVersion, Generation: 3, Sequence: 4, State: failure.NewState()}
	text, err := json.Marshal(s)
	require.NoError(t, err)
	var again stateRecord
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, s, again)
}
