package api

import (
	"context"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
)

// PreviewIn says what event is to be shown as a request.
type PreviewIn struct {
	EventType    string     `json:"eventType" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	ExampleIndex int        `json:"exampleIndex,omitempty" minimum:"0" doc:"Which of the schema's examples."`
	Payload      jsonObject `json:"payload,omitempty" nullable:"true" doc:"In place of the example."`
}

// PreviewOut is a request as an endpoint would get it.
type PreviewOut struct {
	Method      string          `json:"method"`
	URL         string          `json:"url"`
	Headers     []PreviewHeader `json:"headers" nullable:"false" doc:"In the order in which they are sent."`
	Body        string          `json:"body"`
	Transformed bool            `json:"transformed" doc:"The endpoint's transformation was run. It is not for callers who may not change it."`
	Cancel      bool            `json:"cancel" doc:"The transformation sends nothing."`
}

// PreviewHeader is a header of a request.
type PreviewHeader struct {
	Name  string `json:"name"`
	Value string `json:"value" doc:"Empty if it is not shown."`
	// Hidden is of what is sensitive.
	Hidden bool `json:"hidden,omitempty"`
}

func (a *API) endpointPreviews() {
	r := below(http.MethodPost, "/preview", "postrider.endpoint.preview", "Show an event as an endpoint would get it", access.ViewTenant,
		"Nothing is sent. The signature is made with a secret of its own, which is thrown away: it has the form of the endpoint's, and "+
			"nobody can use it. Values of sensitive headers and credentials are left out.")
	r.versioned, r.maxBody = false, maxMessageBody
	registerBody(a, r, a.preview)
}

func (a *API) preview(ctx context.Context, in *EndpointBody, body *PreviewIn) (*answer[PreviewOut], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	payload, err := previewed(called(ctx), body)
	if err != nil {
		return nil, err
	}
	p, ok := a.opts.Profiles.Get(subscription.ProfileOf(s, called(ctx).tenant))
	if !ok {
		return nil, invalid("", "the endpoint's profile does not exist: want another")
	}
	with := *s
	with.Retired, with.Authorization = nil, nil // what is secret takes no part
	secret, err := p.Scheme().NewSecret()
	if err != nil {
		return nil, err
	}
	with.Secrets = []string{secret}
	if c := called(ctx); !c.principal.May(access.ManageEndpointTransformations, c.tenantID()) {
		with.Transformation = nil
	}
	d := a.simulated(s, &TransformationSimulateIn{EventType: body.EventType, Payload: payload})
	d.ContentType, d.Trigger = jsonType, delivery.Trigger{Kind: delivery.TriggerEvent}
	m, err := a.tryOut(ctx, p, &with, d)
	if err != nil {
		return nil, programError(err)
	}
	out, err := a.rendered(called(ctx).tenant, p, &with, &m)
	if err != nil {
		return nil, err
	}
	out.Transformed = with.Transforms()
	if s.Authorization != nil || s.OAuth != nil {
		out.Headers = append(out.Headers, PreviewHeader{Name: "Authorization", Hidden: true})
	}
	return &answer[PreviewOut]{Body: out}, nil
}

// previewed is the payload of the event to be shown.
func previewed(c *call, body *PreviewIn) (jsonObject, error) {
	if body.Payload != nil {
		return body.Payload, nil
	}
	et, ok := c.snap.EventType(body.EventType)
	if !ok || !c.visible()(et) {
		return nil, invalid("eventType", "%s", unknownEventType(c.snap, body.EventType))
	}
	payload, err := catalogue.Example(et, body.ExampleIndex)
	return jsonObject(payload), fieldErrors(err, nil)
}

// rendered is the request of a message, as one sends it now.
func (a *API) rendered(t *subscription.Tenant, p *profile.Profile, s *subscription.Subscription, m *profile.Message) (PreviewOut, error) {
	out := PreviewOut{Method: m.Method, URL: m.URL, Headers: []PreviewHeader{}, Cancel: m.Cancelled}
	if out.Method == "" {
		out.Method = http.MethodPost
	}
	if m.Cancelled {
		return out, nil
	}
	now := a.opts.Now().UTC().Truncate(time.Millisecond)
	sender, err := p.Sender(s, now)
	if err != nil {
		return out, err
	}
	d := m.Delivery
	text, err := sender.AppendBody(nil, &envelope.Input{Delivery: d, Tenant: t, Attempt: delivery.AttemptID(d.ID, d.Trigger, 1), At: now})
	if err != nil {
		return out, err
	}
	out.Body = string(text)
	for _, h := range sender.AppendHeaders(nil, m, now, text) {
		header := PreviewHeader{Name: h.Name, Value: h.Value}
		if _, own := headerOf(s, h.Name); isSensitive(s, h.Name) || own && subscription.Sealed(h.Value) {
			header.Value, header.Hidden = "", true
		}
		out.Headers = append(out.Headers, header)
	}
	return out, nil
}
