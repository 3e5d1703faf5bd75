package api

import (
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics of the API; see the package doc. Operations are a closed set, so labels are bounded.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "postrider_api_requests_total", Help: "Requests to the management API by operation and status class.",
		}, []string{"operation", "class"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postrider_api_request_seconds", Help: "Duration of requests to the management API by operation.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), // 1 ms to 8 s
		}, []string{"operation"}),
	}
}

// measure is the first middleware of every operation.
func (a *API) measure(ctx huma.Context, next func(huma.Context)) {
	began := a.opts.Now()
	next(ctx)
	id := ctx.Operation().OperationID
	a.metrics.requests.WithLabelValues(id, strconv.Itoa(ctx.Status()/100)+"xx").Inc()
	a.metrics.seconds.WithLabelValues(id).Observe(a.opts.Now().Sub(began).Seconds())
}
