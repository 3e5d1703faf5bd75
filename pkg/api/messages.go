package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
)

// Publisher takes events for a tenant; [pipeline.Publisher] is one.
type Publisher interface {
	// Publish returns when Kafka has the event. Refusals are [*pipeline.DuplicateError], [*pipeline.TooLargeError] and
	// [*event.Error]. It may be called concurrently.
	Publish(ctx context.Context, pub pipeline.Publication) (pipeline.Published, error)
}

var _ Publisher = (*pipeline.Publisher)(nil)

// MessageIn is an event as it is published.
type MessageIn struct {
	Application *ApplicationIn `json:"application,omitempty" doc:"The application, made first if there is none of the path's uid."`
	EventID     *string        `json:"eventId,omitempty" nullable:"true" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The event's own id. An id is published once."`
	EventType   string         `json:"eventType" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" example:"contact.created"`
	Payload     jsonObject     `json:"payload" doc:"The event's data, an object of at most 1 MiB. It is delivered byte for byte." example:"{\"id\":\"42\"}"`
	Channels    *[]string      `json:"channels,omitempty" nullable:"true" minItems:"1" maxItems:"10" uniqueItems:"true" doc:"Endpoints that listen to certain channels get it if one of them is here: 1 to 128 of a-z, A-Z, 0-9, -, _, ., : and +."`
	Tags        *[]string      `json:"tags,omitempty" nullable:"true" maxItems:"5" uniqueItems:"true" doc:"To find it again: 1 to 128 of a-z, A-Z, 0-9, -, _, ., /, \\ and #."`

	TransformationsParams  jsonObject `json:"transformationsParams,omitempty" nullable:"true" doc:"Not supported: want null or nothing."`
	DeliverAt              *string    `json:"deliverAt,omitempty" nullable:"true" format:"date-time" doc:"Not supported: want null or nothing."`
	PayloadRetentionPeriod *int64     `json:"payloadRetentionPeriod,omitempty" nullable:"true" minimum:"1" maximum:"90" doc:"Accepted and without effect: events are kept as long as the topic has them."`
	PayloadRetentionHours  *int64     `json:"payloadRetentionHours,omitempty" nullable:"true" minimum:"1" maximum:"2160" doc:"Accepted and without effect."`
}

// MessageOut is an event.
type MessageOut struct {
	ID        string     `json:"id" example:"msg_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	EventID   *string    `json:"eventId,omitempty"`
	EventType string     `json:"eventType" example:"contact.created"`
	Payload   jsonObject `json:"payload" doc:"Empty if it was not asked for; {\"expired\":true} if Kafka does not have it any more."`
	Channels  []string   `json:"channels,omitempty"`
	Tags      []string   `json:"tags,omitempty"`
	Timestamp time.Time  `json:"timestamp" doc:"When it was published."`
}

const (
	tagMessage = "Message"
	// messagePrefix is that of an event's id in this API.
	messagePrefix = "msg_"
	// maxMessageBody is the largest event and what stands around it.
	maxMessageBody = event.MaxBytes + 64<<10
	// maxValidators bounds the schemas that are kept ready.
	maxValidators = 256

	channelChars = "-_.:+"
	tagChars     = `-_./\#`
	maxWord      = 128
)

// uncheckedHeader says that Redis was away: whether the request was made before is not known. replayedHeader says that the
// answer is that of an earlier request.
const (
	checkHeader    = "Postrider-Idempotency"
	unchecked      = "unchecked"
	replayedHeader = "Idempotency-Replayed"
)

func (a *API) messages() {
	registerBody(a, route{
		method: http.MethodPost, path: "/app/{app_id}/msg", id: "v1.message.create", tag: tagMessage, needs: access.Publish,
		summary: "Publish an event", status: http.StatusAccepted, maxBody: maxMessageBody, makesApp: true,
		doc: "It is answered when all in-sync replicas have the event. An eventId that was published before is a conflict; with an " +
			"idempotency key the same request is answered as it was. Where Redis is away neither can be checked: then the " +
			"answer has the header postrider-idempotency: unchecked.",
	}, a.publish)
	register(a, route{
		method: http.MethodGet, path: "/app/{app_id}/msg", id: "v1.message.list", tag: tagMessage, needs: access.ViewTenant,
		summary: "List events",
		doc: "Newest first. A page may hold fewer events than asked for, even none, and not be the last one: see done. Payloads " +
			"end a page after about 32 MiB.",
	}, a.listMessages)
	register(a, route{
		method: http.MethodGet, path: "/app/{app_id}/msg/{msg_id}", id: "v1.message.get", tag: tagMessage, needs: access.ViewTenant,
		summary: "Get an event", doc: "By its id or by the eventId that it was published with.",
	}, a.getMessage)
}

// MessageCreateBody publishes an event.
type MessageCreateBody struct {
	AppBody
	ContentInput
	TraceParent string `header:"traceparent" doc:"W3C trace context; deliveries go on with it." maxLength:"256"`
}

// ContentInput is of what answers with an event.
type ContentInput struct {
	WithContent contentParam `query:"with_content" doc:"With the payload, as if left out."`
}

// contentParam is a truth value that is true if it is left out. A default in a tag would be put in place of false, too, where
// there is a body.
type contentParam struct {
	Value bool
	set   bool
}

// wanted reports whether the payload is asked for.
func (p *contentParam) wanted() bool { return !p.set || p.Value }

// Receiver implements [huma.ParamWrapper].
func (p *contentParam) Receiver() reflect.Value { return reflect.ValueOf(p).Elem().Field(0) }

// OnParamSet implements [huma.ParamReactor].
func (p *contentParam) OnParamSet(isSet bool, _ any) { p.set = isSet }

// Schema implements [huma.SchemaProvider].
func (contentParam) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeBoolean, Default: true}
}

var (
	_ huma.ParamWrapper = (*contentParam)(nil)
	_ huma.ParamReactor = (*contentParam)(nil)
)

func (a *API) publish(ctx context.Context, in *MessageCreateBody, body *MessageIn) (*answer[MessageOut], error) {
	if err := body.check(); err != nil {
		return nil, err
	}
	t, err := a.publishingTenant(ctx, in.App, body.Application)
	if err != nil {
		return nil, err
	}
	if err := a.checkEventType(ctx, t, body); err != nil {
		return nil, err
	}
	pub := pipeline.Publication{
		Tenant: t, EventType: body.EventType, EventID: value(body.EventID), Payload: body.Payload.raw(),
		Channels: value(body.Channels), Tags: value(body.Tags), IdempotencyKey: publicationKey(ctx), TraceParent: in.TraceParent,
	}
	done, err := a.opts.Publisher.Publish(ctx, pub)
	if err != nil {
		return nil, publishError(err)
	}
	out := &answer[MessageOut]{Body: MessageOut{
		ID: done.Message.Base62(messagePrefix), EventID: optional(done.EventID), EventType: pub.EventType, Payload: emptyObject(),
		Channels: pub.Channels, Tags: pub.Tags, Timestamp: done.Time,
	}}
	if in.WithContent.wanted() {
		out.Body.Payload = body.Payload
	}
	if done.Unchecked {
		out.Idempotency = unchecked
	}
	return out, nil
}

// publicationKey is the request's idempotency key as the publisher gets it: apart from those of other callers, and for
// this body alone, so that no event is lost because its key was used for another one while Redis was away.
func publicationKey(ctx context.Context) string {
	claim := claimed(ctx)
	if claim == nil {
		return ""
	}
	return claim.scope + "|" + claim.key + "|" + hex.EncodeToString(claim.fingerprint)
}

// check refuses what the schema of the body cannot.
func (in *MessageIn) check() error {
	if len(in.Payload) > event.MaxBytes {
		return tooLarge(&pipeline.TooLargeError{Size: len(in.Payload), Limit: event.MaxBytes})
	}
	out := &ValidationError{}
	add := func(field, detail string) { out.Detail = append(out.Detail, problem("body", field, detail)) }
	if in.Payload == nil {
		add("payload", "want an object")
	}
	if in.DeliverAt != nil {
		add("deliverAt", "is not supported: want null or nothing")
	}
	if in.TransformationsParams != nil {
		add("transformationsParams", "is not supported: want null or nothing")
	}
	for field, words := range map[string][]string{"channels": value(in.Channels), "tags": value(in.Tags)} {
		chars := channelChars
		if field == "tags" {
			chars = tagChars
		}
		for i, w := range words {
			if !isWord(w, chars) {
				add(field+"."+strconv.Itoa(i), "want 1 to 128 of a-z, A-Z, 0-9 and any of "+chars)
			}
		}
	}
	if len(out.Detail) > 0 {
		return out
	}
	return nil
}

// isWord reports whether s consists of ASCII letters, digits and chars.
func isWord(s, chars string) bool {
	if s == "" || len(s) > maxWord {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(chars, r)
	})
}

// publishingTenant is the tenant of the path, made if there is none and the body says how. Of two requests that make it at
// the same time both publish.
func (a *API) publishingTenant(ctx context.Context, name string, in *ApplicationIn) (*subscription.Tenant, error) {
	t, err := a.portalTenant(ctx, name, in)
	if refused, ok := errors.AsType[*Error](err); ok && refused.status == http.StatusConflict {
		if now, ok := a.opts.Store.Snapshot().ResolveTenant(name); ok {
			return now, nil
		}
	}
	return t, err
}

// checkEventType refuses what would reach nobody, and payloads that do not fit.
func (a *API) checkEventType(ctx context.Context, t *subscription.Tenant, in *MessageIn) error {
	if !match.Covers(t.EventTypes, in.EventType) {
		return invalid("eventType", "%q is not activated for this application", in.EventType)
	}
	et, ok := called(ctx).snap.EventType(in.EventType)
	if !ok {
		return nil
	}
	if et.Archived {
		return invalid("eventType", "%q is archived: create it again to publish with it", in.EventType)
	}
	if !a.opts.ValidatePayloads {
		return nil
	}
	err := a.validators.Check(et, in.Payload)
	bad, ok := errors.AsType[*catalogue.PayloadError](err)
	if !ok {
		return err
	}
	out := &ValidationError{}
	for _, p := range bad.Problems {
		out.Detail = append(out.Detail, problem("body", "payload"+strings.TrimPrefix(p.Path, "$"), "want "+p.Want))
	}
	return out
}

// publishError says over HTTP why an event was not published.
func publishError(err error) error {
	if twice, ok := errors.AsType[*pipeline.DuplicateError](err); ok {
		if twice.InProgress {
			return &comeAgain{&Error{http.StatusConflict, "in_progress", twice.Error()}}
		}
		return refuse(http.StatusConflict, "duplicate_event", "%s", twice.Error())
	}
	if size, ok := errors.AsType[*pipeline.TooLargeError](err); ok {
		return tooLarge(size)
	}
	if bad, ok := errors.AsType[*event.Error](err); ok {
		field := bad.Field
		if field == "data" {
			field = "payload"
		}
		return invalid(field, "%s", bad.Detail)
	}
	return err
}

func tooLarge(err *pipeline.TooLargeError) error {
	return refuse(http.StatusRequestEntityTooLarge, "payload_too_large", "%s", err.Error())
}

// comeAgain is a refusal that may be none in a moment.
type comeAgain struct{ refusal *Error }

// comeAgainSeconds is the Retry-After of such a refusal.
const comeAgainSeconds = "1"

// Error implements error.
func (e *comeAgain) Error() string { return e.refusal.Error() }

// GetStatus implements [huma.StatusError].
func (e *comeAgain) GetStatus() int { return e.refusal.status }

// MarshalJSON implements [json.Marshaler].
func (e *comeAgain) MarshalJSON() ([]byte, error) { return json.Marshal(e.refusal) }

// GetHeaders implements [huma.HeadersError].
func (*comeAgain) GetHeaders() http.Header { return http.Header{"Retry-After": {comeAgainSeconds}} }

// messageID reads an event's id.
func messageID(name string) (ident.ID, bool) {
	id, err := ident.ParseBase62(messagePrefix, name)
	return id, err == nil
}
