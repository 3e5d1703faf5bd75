package api

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/registry"
)

// EventTypePath is in the path of everything that belongs to an event type.
type EventTypePath struct {
	Name string `path:"event_type_name" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The event type's name." example:"contact.created"`
}

// schemas are JSON Schemas by version.
type schemas = map[string]json.RawMessage

// EventTypeUpsertIn is an event type as it is replaced.
type EventTypeUpsertIn struct {
	Description  string    `json:"description" doc:"For whoever subscribes." example:"A contact was added."`
	Archived     bool      `json:"archived,omitempty" default:"false" doc:"Archived event types are kept, and nothing can be published with them."`
	Deprecated   bool      `json:"deprecated,omitempty" default:"false" doc:"New subscriptions should choose another."`
	Schemas      *schemas  `json:"schemas,omitempty" nullable:"true" doc:"JSON Schemas of the payload by version: 1, 2, …; the highest is the current one. An empty object is no schema."`
	GroupName    *string   `json:"groupName,omitempty" nullable:"true" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The group that lists show it in."`
	FeatureFlags *[]string `json:"featureFlags,omitempty" nullable:"true" minItems:"1" maxItems:"32" uniqueItems:"true" doc:"Kept and shown, without effect."`
}

// EventTypeIn is an event type as it is created.
type EventTypeIn struct {
	Name string `json:"name" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" example:"contact.created"`
	EventTypeUpsertIn
}

// EventTypePatch changes some of an event type.
type EventTypePatch struct {
	Description  Opt[string]   `json:"description,omitzero"`
	Archived     Opt[bool]     `json:"archived,omitzero"`
	Deprecated   Opt[bool]     `json:"deprecated,omitzero"`
	Schemas      Opt[schemas]  `json:"schemas,omitzero"`
	GroupName    Opt[string]   `json:"groupName,omitzero"`
	FeatureFlags Opt[[]string] `json:"featureFlags,omitzero"`
}

// EventTypeOut is an event type.
type EventTypeOut struct {
	Name         string    `json:"name" example:"contact.created"`
	Description  string    `json:"description"`
	Archived     bool      `json:"archived"`
	Deprecated   bool      `json:"deprecated"`
	Schemas      schemas   `json:"schemas,omitempty" doc:"JSON Schemas by version."`
	GroupName    *string   `json:"groupName,omitempty"`
	FeatureFlags []string  `json:"featureFlags,omitempty"`
	CreatedAt    time.Time `json:"createdAt"`
	UpdatedAt    time.Time `json:"updatedAt"`
}

// EventTypeList are the parameters of the list of event types.
type EventTypeList struct {
	PageInput
	Order           string `query:"order" enum:"ascending,descending" default:"ascending" doc:"By name."`
	IncludeArchived bool   `query:"include_archived" default:"false" doc:"Archived ones too."`
	WithContent     bool   `query:"with_content" default:"false" doc:"With their schemas."`
}

// EventTypeDelete archives or removes an event type.
type EventTypeDelete struct {
	EventTypePath
	WriteInput
	Expunge bool `query:"expunge" default:"false" doc:"Remove it instead."`
}

const tagEventType = "Event Type"

// maxCatalogueBody bounds what has schemas in it, which may be 256 KiB of an event type.
const maxCatalogueBody = 512 << 10

func (a *API) eventTypes() {
	register(a, route{
		method: http.MethodGet, path: "/event-type", id: "v1.event-type.list", tag: tagEventType, needs: access.ViewCatalogue,
		summary: "List event types", doc: "With a key or token of one application, those that are activated for it.",
	}, a.listEventTypes)
	registerBody(a, route{
		method: http.MethodPost, path: "/event-type", id: "v1.event-type.create", versioned: true, tag: tagEventType, needs: access.Operate,
		summary: "Create an event type", status: http.StatusCreated, maxBody: maxCatalogueBody,
		doc: "An archived event type of that name is replaced and back in use. One that is not archived is a conflict.",
	}, a.createEventType)
	register(a, route{
		method: http.MethodGet, path: "/event-type/{event_type_name}", id: "v1.event-type.get", versioned: true, tag: tagEventType,
		needs: access.ViewCatalogue, summary: "Get an event type",
	}, a.getEventType)
	registerBody(a, route{
		method: http.MethodPut, path: "/event-type/{event_type_name}", id: "v1.event-type.upsert", versioned: true, tag: tagEventType,
		needs: access.Operate, summary: "Create or replace an event type", maxBody: maxCatalogueBody,
	}, a.putEventType)
	registerBody(a, route{
		method: http.MethodPatch, path: "/event-type/{event_type_name}", id: "v1.event-type.patch", versioned: true, tag: tagEventType,
		needs: access.Operate, summary: "Change an event type", maxBody: maxCatalogueBody,
		doc: "What is left out stays; schemas are replaced as a whole.",
	}, a.patchEventType)
	register(a, route{
		method: http.MethodDelete, path: "/event-type/{event_type_name}", id: "v1.event-type.delete", tag: tagEventType,
		needs: access.Operate, summary: "Archive or remove an event type", status: http.StatusNoContent,
		doc: "It is archived: kept, but nothing can be published with it. Endpoints that name it stay as they are. " +
			"With ?expunge=true it is removed.",
	}, a.deleteEventType)
	a.eventTypeDocuments()
}

// visible returns which event types the caller may see: a tenant those that are activated for it.
func (c *call) visible() func(*catalogue.EventType) bool {
	if c.principal.General() {
		return all[*catalogue.EventType]
	}
	t, ok := c.snap.Tenant(c.principal.Tenant)
	return func(et *catalogue.EventType) bool { return ok && match.Covers(t.EventTypes, et.Name) }
}

func (a *API) listEventTypes(ctx context.Context, in *EventTypeList) (*answer[List[EventTypeOut]], error) {
	c := called(ctx)
	visible := c.visible()
	keep := func(et *catalogue.EventType) bool { return (in.IncludeArchived || !et.Archived) && visible(et) }
	return answerList(paginate(in.PageInput, in.Order == "descending", eventTypesByName(c.snap), keep,
		func(et *catalogue.EventType) string { return nameIterator(et.Name) },
		func(et *catalogue.EventType) EventTypeOut { return eventTypeOut(et, in.WithContent) }))
}

func eventTypesByName(snap *registry.Snapshot) source[*catalogue.EventType] {
	return func(after string, descending bool) (iter.Seq[*catalogue.EventType], error) {
		after = strings.TrimPrefix(after, ".")
		if descending {
			return snap.EventTypesBefore(after), nil
		}
		return func(yield func(*catalogue.EventType) bool) {
			for et := range snap.EventTypesFrom(after) {
				if et.Name != after && !yield(et) {
					return
				}
			}
		}, nil
	}
}

// nameIterator is what iterators say for a name. One that begins with "-", which means backwards, or "." gets a "." in front.
func nameIterator(name string) string {
	if strings.HasPrefix(name, "-") || strings.HasPrefix(name, ".") {
		return "." + name
	}
	return name
}

func (a *API) createEventType(ctx context.Context, in *CreateBody, body *EventTypeIn) (*answer[EventTypeOut], error) {
	return a.changeEventType(ctx, body.Name, WriteInput{WaitInput: in.WaitInput}, func(old *catalogue.EventType) (*catalogue.EventType, int, error) {
		et := &catalogue.EventType{Name: body.Name}
		if old != nil && !old.Archived {
			return nil, 0, refuse(http.StatusConflict, "event_type_exists", "name: there is an event type %q already", old.Name)
		}
		if old != nil {
			et.Version, et.Created = old.Version, old.Created
		}
		body.apply(et)
		return et, http.StatusCreated, nil
	})
}

func (a *API) getEventType(ctx context.Context, in *EventTypePath) (*answer[EventTypeOut], error) {
	c := called(ctx)
	et, ok := c.snap.EventType(in.Name)
	if !ok || !c.visible()(et) {
		return nil, notFound("event type")
	}
	return answerEventType(et, http.StatusOK, ""), nil
}

func (a *API) putEventType(ctx context.Context, in *EventTypeWriteBody, body *EventTypeUpsertIn) (*answer[EventTypeOut], error) {
	return a.changeEventType(ctx, in.Name, in.WriteInput, func(old *catalogue.EventType) (*catalogue.EventType, int, error) {
		et, status := &catalogue.EventType{Name: in.Name}, http.StatusCreated
		if old != nil {
			et.Version, et.Created, status = old.Version, old.Created, http.StatusOK
		}
		body.apply(et)
		return et, status, nil
	})
}

func (a *API) patchEventType(ctx context.Context, in *EventTypeWriteBody, body *EventTypePatch) (*answer[EventTypeOut], error) {
	return a.changeEventType(ctx, in.Name, in.WriteInput, func(old *catalogue.EventType) (*catalogue.EventType, int, error) {
		if old == nil {
			return nil, 0, notFound("event type")
		}
		et := *old
		body.apply(&et)
		return &et, http.StatusOK, nil
	})
}

func (a *API) deleteEventType(ctx context.Context, in *EventTypeDelete) (*answer[nothing], error) {
	if in.Expunge {
		return a.expungeEventType(ctx, in.Name, in.WriteInput)
	}
	out, err := a.changeEventType(ctx, in.Name, in.WriteInput, func(old *catalogue.EventType) (*catalogue.EventType, int, error) {
		if old == nil {
			return nil, 0, notFound("event type")
		}
		et := *old
		et.Archived = true
		return &et, http.StatusOK, nil
	})
	if err != nil {
		return nil, err
	}
	return &answer[nothing]{Applied: out.Applied}, nil
}

func (a *API) expungeEventType(ctx context.Context, name string, in WriteInput) (*answer[nothing], error) {
	old, ok := called(ctx).snap.EventType(name)
	if !ok {
		return nil, notFound("event type")
	}
	if err := in.matches(old.Version); err != nil {
		return nil, err
	}
	change := registry.Delete(registry.EventTypeKey(name), old.Version)
	if !in.conditional() {
		change = change.Anyway()
	}
	return a.remove(ctx, change, in.WaitInput, in.conditional())
}

// changeEventType writes what change makes of the event type of that name, which it gets as nil if there is none, and answers
// with what is then in the registry and the status.
func (a *API) changeEventType(
	ctx context.Context, name string, in WriteInput, change func(old *catalogue.EventType) (*catalogue.EventType, int, error),
) (*answer[EventTypeOut], error) {
	var out *answer[EventTypeOut]
	err := a.again(ctx, in.conditional(), func(snap *registry.Snapshot) error {
		old, _ := snap.EventType(name)
		var version int64
		if old != nil {
			version = old.Version
		}
		if err := in.matches(version); err != nil {
			return err
		}
		et, status, err := change(old)
		if err != nil {
			return err
		}
		if err := fieldErrors(catalogue.Validate(et), nil); err != nil {
			return err
		}
		applied, err := a.apply(ctx, registry.PutEventType(et), in.WaitInput, in.conditional())
		if err != nil {
			return err
		}
		now, ok := a.opts.Store.Snapshot().EventType(name)
		if !ok {
			return notFound("event type") // somebody removed it since
		}
		out = answerEventType(now, status, applied)
		return nil
	})
	return out, err
}

func (in *EventTypeUpsertIn) apply(et *catalogue.EventType) {
	et.Description, et.Archived, et.Deprecated = in.Description, in.Archived, in.Deprecated
	et.GroupName, et.FeatureFlags, et.Schemas = value(in.GroupName), value(in.FeatureFlags), value(in.Schemas)
}

func (in *EventTypePatch) apply(et *catalogue.EventType) {
	in.Description.apply(&et.Description)
	in.Archived.apply(&et.Archived)
	in.Deprecated.apply(&et.Deprecated)
	in.Schemas.apply(&et.Schemas)
	in.GroupName.apply(&et.GroupName)
	in.FeatureFlags.apply(&et.FeatureFlags)
}

func answerEventType(et *catalogue.EventType, status int, applied string) *answer[EventTypeOut] {
	return &answer[EventTypeOut]{Status: status, ETag: etag(et.Version), Applied: applied, Body: eventTypeOut(et, true)}
}

func eventTypeOut(et *catalogue.EventType, content bool) EventTypeOut {
	out := EventTypeOut{
		Name: et.Name, Description: et.Description, Archived: et.Archived, Deprecated: et.Deprecated,
		GroupName: optional(et.GroupName), FeatureFlags: slices.Clone(et.FeatureFlags), CreatedAt: et.Created, UpdatedAt: et.Updated,
	}
	if content {
		out.Schemas = et.Schemas
	}
	return out
}
