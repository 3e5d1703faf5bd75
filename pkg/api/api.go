package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// prefix is that of all operations that do not say otherwise.
const prefix = "/api/v1"

// Store is the registry: [registry.Store] is one.
type Store interface {
	Snapshot() *registry.Snapshot
	// Apply makes all changes or none; its refusals are those of [registry.Writer].
	Apply(ctx context.Context, by audit.Actor, changes ...registry.Change) (registry.Result, error)
}

// Presence knows which versions the live roles have.
type Presence interface {
	// WaitApplied blocks until every live role has the version and returns how many there are.
	WaitApplied(ctx context.Context, version int64) (int, error)
}

// Cipher seals what leaves the process and only it may read: portal tokens, and answers that are kept for repeats.
type Cipher interface {
	Seal(plain, associated string) (string, error)
	Open(sealed, associated string) (string, error)
}

// Options are what the API works with. All fields are needed unless they say otherwise.
type Options struct {
	Store    Store
	Presence Presence
	// Cluster says how roles and groups do; nil for a status that does not know.
	Cluster Cluster
	// System says how the endpoints of all tenants do; without it none does anything.
	System SystemViews
	Cipher Cipher
	// Publisher takes events; Events finds them again and EventReader reads them.
	Publisher   Publisher
	Events      EventIndex
	EventReader EventReader
	// Attempts finds attempts, Outcomes reads what came of them, and EndpointViews say how endpoints did.
	Attempts      AttemptIndex
	Outcomes      OutcomeReader
	EndpointViews EndpointViews
	// Breakers says which breakers are open; without it none is said to be.
	Breakers BreakerViews
	// ValidatePayloads checks published events against the schemas of their event types.
	ValidatePayloads bool
	// Idempotency keeps the answers to requests with an idempotency key; without it such keys are not looked at.
	Idempotency Idempotency
	// Sender sends examples to one endpoint alone.
	Sender Sender
	// Resender sends events once more; Tasks does so in the background.
	Resender Resender
	Tasks    Tasks
	// DeadLetters and Rejected are what waits for a person, History what was tried of a delivery.
	DeadLetters *pipeline.DeadLetters
	Rejected    *pipeline.RejectedRecords
	History     History
	// Prober tries whether endpoints can be reached; nil does not try.
	Prober Prober
	Audit  AuditLog
	// AuditWriter keeps what is done to letters; the registry's own changes are written with them.
	AuditWriter AuditWriter
	Profiles    profile.Set
	Rules       subscription.Rules
	// SourceIPs are the addresses that deliveries come from, for receivers' firewalls.
	SourceIPs []netip.Prefix
	// Notices sends test notices, NoticeMemory knows what tenants were told, and NoticePortal is where links of notices lead.
	// Without the first two nobody is told anything.
	Notices      NoticeSender
	NoticeMemory NoticeMemory
	NoticePortal notice.Portal
	// PortalURL is where the portal is served, for the links of portal tokens.
	PortalURL string
	// RequestsPerSecond and Burst limit each key and portal token.
	RequestsPerSecond float64
	Burst             int
	// TrustedProxies are the networks whose X-Forwarded-For is believed; none by default.
	TrustedProxies []netip.Prefix
	// Now is the clock; the system's if nil.
	Now     func() time.Time
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// API serves the management API. Make it with [New].
type API struct {
	opts    Options
	huma    huma.API
	handler http.Handler
	routes  []route
	metrics *metrics
	limits  *limits
	// validators are those of payloads.
	validators *catalogue.Validators
	// simulations has a place for each program that is being tried.
	simulations chan struct{}
	// tails has what follows attempts now.
	tails tails
	// repeats are what idempotency keys need.
	repeats repeats
	status  lookout[clusterFound]
	// statusEndpoints is that of endpoints.
	statusEndpoints lookout[endpointsFound]
}

// New returns the API. It panics if its own operations are declared wrongly.
func New(opts Options) *API {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	useOurErrors()
	mux := http.NewServeMux()
	a := &API{opts: opts, metrics: newMetrics(opts.Metrics), limits: newLimits(opts.RequestsPerSecond, opts.Burst)}
	a.simulations = newSimulations()
	a.tails.ending = make(chan struct{})
	a.validators = catalogue.NewValidators(maxValidators)
	a.huma = humago.New(mux, humaConfig())
	a.huma.UseMiddleware(a.measure, a.admit)
	a.health()
	a.applications()
	a.endpoints()
	a.portal()
	a.permissions()
	a.profiles()
	a.keys()
	a.auditLog()
	a.sourceIPs()
	a.eventTypes()
	a.messages()
	a.attempts()
	a.tasks()
	a.deadLetters()
	a.rejected()
	a.flexEngage()
	a.notices()
	a.pauses()
	a.statuses()
	a.statusOfEndpoints()
	a.document(mux)
	mux.HandleFunc("/", a.unknown)
	a.handler = a.chain(mux)
	return a
}

// Handler returns the API as an [http.Handler]. It serves everything below /api/v1, and flexEngage's
// call below /v1.
func (a *API) Handler() http.Handler { return a.handler }

// EndStreams ends the answers that go on and on; whoever reads them asks again, elsewhere. It is for a server that shuts down.
func (a *API) EndStreams() { a.tails.end() }

// chain is the way of a request to its operation; see the package doc.
func (a *API) chain(operations http.Handler) http.Handler {
	h := a.limitRate(a.once(operations))
	h = a.authenticate(h)
	h = a.recover(h)
	return a.logAccess(h)
}

func humaConfig() huma.Config {
	c := huma.DefaultConfig("Postrider management API", "1")
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", "" // see [API.document]
	c.CreateHooks = nil                                   // no $schema members: the bodies stay exact
	c.Info.Description = "Tenants, endpoints, event types and events. Paths and bodies are those of the Svix API; what is " +
		"Postrider's own stands in resources of its own."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An API key, or a portal token."},
	}
	return c
}

// unknown answers for what is no operation, in the form of all errors.
func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	answerError(w, &Error{status: http.StatusNotFound, Code: "not_found", Detail: r.Method + " " + r.URL.Path + " is not part of this API"})
}

// answerError writes an error outside of huma.
func answerError(w http.ResponseWriter, e *Error) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(e) // nobody is there to read it
}

// tell keeps what went wrong on this side in the log, under the request's id, and gives the caller an error that shows
// nothing of it.
func (a *API) tell(ctx context.Context, r route, err error) error {
	if _, ok := err.(huma.StatusError); ok { //nolint:errorlint // made here, never wrapped
		return err
	}
	if ctx.Err() != nil {
		return refuse(http.StatusServiceUnavailable, "cancelled", "the request ended before it was answered")
	}
	a.opts.Log.ErrorContext(ctx, "answering a request", "operation", r.id, "request", requestID(ctx), "error", err)
	return refuse(http.StatusInternalServerError, "server_error", "something went wrong on this side; request %s", requestID(ctx))
}
