package portal

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/api"
)

// statuses is the answer of an endpoint's status, with what [api.EndpointStatusOut] writes but does not read.
type statuses struct {
	EventTypes []struct {
		EventType   string             `json:"eventType"`
		LastAttempt *api.AttemptResult `json:"lastAttempt"`
	} `json:"eventTypes"`
	Breaker *api.BreakerOut `json:"breaker"`
}

// watchPage is how an endpoint does, on its first page.
type watchPage struct {
	Types   []typeRow
	Windows []choice
	Health  healthChart
	// Breaker is that of an endpoint whose deliveries wait; nil if they do not.
	Breaker *api.BreakerOut
	// Away says that the views are.
	Away bool
}

// typeRow is how an endpoint does with one event type.
type typeRow struct {
	Type  string
	Badge badge
	At    *time.Time // of the last attempt; nil if there was none
}

// watch reads how the endpoint of the path does, of the window of the query.
func (v *visit) watch() (out watchPage, err error) {
	var known statuses
	if out.Away, err = v.look(v.endpointPath("status"), &known); err != nil || out.Away {
		return out, err
	}
	out.Breaker = known.Breaker
	for _, t := range known.EventTypes {
		row := typeRow{Type: t.EventType, Badge: badge{"off", "Never sent"}}
		if t.LastAttempt != nil {
			row.Badge, row.At = resultBadge(t.LastAttempt), &t.LastAttempt.At
		}
		out.Types = append(out.Types, row)
	}
	window := v.r.URL.Query().Get("window")
	if _, ok := windows[window]; !ok {
		window = "day"
	}
	out.Windows = choices(window, "hour", "Last hour", "day", "Last 24 hours", "week", "Last 7 days")
	out.Health, out.Away, err = v.health(v.r.PathValue("endpoint"), window)
	return out, err
}

// health reads how an endpoint did in a window of [windows].
func (v *visit) health(endpoint, window string) (out healthChart, away bool, err error) {
	step, name := time.Hour, "hour"
	if window == "hour" {
		step, name = time.Minute, "minute"
	}
	now := v.p.opts.Now()
	var h api.HealthOut
	away, err = v.look(query(v.appPath("endpoint", endpoint, "health"), "step", name, "since", now.Add(-windows[window]).UTC().Format(time.RFC3339)), &h)
	if err != nil || away {
		return out, away, err
	}
	return chartOf(&h, now, windows[window], step), false, nil
}

// healthChart is a chart of attempts over time: a bar for each step, what failed on top of what succeeded.
type healthChart struct {
	Total api.CountsOut
	Bars  []healthBar
	// Width and Height are of the drawing, in its units; Text says it without, and Step what a bar is of.
	Width, Height int
	Text, Step    string
	// Window is of what the chart is.
	Window time.Duration
}

// healthBar is one bar. Good and Bad are heights and GoodY and BadY where they begin.
type healthBar struct {
	At                     time.Time
	Attempts, Failed       int64
	X                      int
	GoodY, Good, BadY, Bad string
}

const (
	barWidth    = 6
	chartHeight = 60
)

// chartOf makes the chart of the steps up to now.
func chartOf(h *api.HealthOut, now time.Time, window, step time.Duration) healthChart {
	out := healthChart{Total: h.Total, Height: chartHeight, Step: "an hour", Window: window}
	if step == time.Minute {
		out.Step = "a minute"
	}
	first := now.Add(-window).Truncate(step)
	count := int(now.Truncate(step).Sub(first)/step) + 1
	out.Width = count * barWidth
	var most int64 = 1
	for i := range h.Series {
		most = max(most, h.Series[i].Attempts)
	}
	units := func(n int64) float64 { return float64(n) / float64(most) * (chartHeight - 2) }
	for i := range h.Series {
		s := &h.Series[i]
		failed := s.Attempts - s.Successes
		good, bad := units(s.Successes), units(failed)
		if failed > 0 {
			bad = max(bad, 2) // it must be seen, however few
		}
		out.Bars = append(out.Bars, healthBar{
			At: s.Start, Attempts: s.Attempts, Failed: failed, X: int(s.Start.Sub(first)/step) * barWidth,
			Good: units1(good), GoodY: units1(chartHeight - good), Bad: units1(bad), BadY: units1(max(chartHeight-good-bad, 0)),
		})
	}
	out.Text = fmt.Sprintf("%s, of which %d failed; at most %d %s", several(h.Total.Attempts, "attempt"), h.Total.Attempts-h.Total.Successes, most, out.Step)
	if h.Total.Attempts == 0 {
		out.Text = "No attempts"
	}
	return out
}

// several is a number with its noun.
func several[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func units1(n float64) string { return strconv.FormatFloat(n, 'f', 1, 64) }

// Rate is the share of attempts that succeeded.
func (c healthChart) Rate() string { return rateWords(c.Total.SuccessRate) }

// PerMinute is how many attempts were made a minute, on the average of the window.
func (c healthChart) PerMinute() string {
	switch n := float64(c.Total.Attempts) / c.Window.Minutes(); {
	case n >= 10:
		return strconv.FormatFloat(n, 'f', 0, 64)
	case n >= 0.01 || n == 0:
		return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 2, 64), ".00")
	}
	return "below 0.01"
}

// Class is the colour of the rate.
func (c healthChart) Class() string {
	switch rate := c.Total.SuccessRate; {
	case rate == nil:
		return "off"
	case *rate < 0.95:
		return "bad"
	}
	return "good"
}

// rateWords says a share in per cent. It is 100 % for all alone.
func rateWords(rate *float64) string {
	switch {
	case rate == nil:
		return "No attempts"
	case *rate < 1 && *rate > 0.999:
		return "over 99.9 %"
	}
	return strings.TrimSuffix(strconv.FormatFloat(*rate*100, 'f', 1, 64), ".0") + " %"
}

// P50 is how long half of the attempts took at most, P95 19 of 20.
func (c healthChart) P50() string { return quantileWords(c.Total.Duration.P50Ms) }

// P95 is how long 19 of 20 attempts took at most.
func (c healthChart) P95() string { return quantileWords(c.Total.Duration.P95Ms) }

func quantileWords(ms *float64) string {
	if ms == nil {
		return "–"
	}
	return millis(*ms)
}
