package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
)

// EventTypeImportOpenAPIIn is a document with event types.
type EventTypeImportOpenAPIIn struct {
	DryRun     bool       `json:"dryRun,omitempty" default:"false" doc:"Change nothing, and show what would be there."`
	ReplaceAll bool       `json:"replaceAll,omitempty" default:"false" doc:"Archive the event types that the document does not have."`
	Spec       jsonObject `json:"spec,omitempty" nullable:"true" doc:"The document: OpenAPI 3 with webhooks, or AsyncAPI 2 or 3."`
	SpecRaw    *string    `json:"specRaw,omitempty" nullable:"true" doc:"The document as text, JSON or YAML. Want either this or spec."`
}

// EventTypeImportOpenAPIOut says what an import did.
type EventTypeImportOpenAPIOut struct {
	Data EventTypeImportOpenAPIOutData `json:"data"`
}

// EventTypeImportOpenAPIOutData says what an import did, or would do.
type EventTypeImportOpenAPIOutData struct {
	Modified []string                `json:"modified" nullable:"false" doc:"The event types of the document and those that were archived for not being in it."`
	ToModify *[]EventTypeFromOpenAPI `json:"to_modify,omitempty" nullable:"true" doc:"With dryRun: the event types as they would be."`
}

// EventTypeFromOpenAPI is an event type as a document has it.
type EventTypeFromOpenAPI struct {
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	Schemas      schemas  `json:"schemas,omitempty"`
	Deprecated   bool     `json:"deprecated"`
	GroupName    *string  `json:"groupName,omitempty"`
	FeatureFlags []string `json:"featureFlags,omitempty"`
}

// ExportEventTypeOut is the background task of an export.
type ExportEventTypeOut struct {
	ID        string    `json:"id" example:"qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	Status    string    `json:"status" enum:"running,finished,failed"`
	Task      string    `json:"task" example:"event-type.aggregate"`
	UpdatedAt time.Time `json:"updatedAt"`
}

const (
	// maxImportBody is what an import takes: the largest document.
	maxImportBody = catalogue.MaxDocument
	// batch bounds the changes of one transaction of an import.
	batch = 200
	// taskPrefix is that of a background task's id; taskExport what an export is called among them.
	taskPrefix = "qtask_"
	taskExport = "event-type.aggregate"
)

// exportTask is the one background task that every export is: the document is made when it is asked for, from what is there
// then, so that nothing has to be kept.
//
//nolint:gochecknoglobals // a constant
var exportTask = ident.Derive("postrider/task", taskExport)

func (a *API) eventTypeDocuments() {
	registerBody(a, route{
		method: http.MethodPost, path: "/event-type/import/openapi", id: "v1.event-type.import-openapi", tag: tagEventType,
		needs: access.Operate, summary: "Import event types from an OpenAPI or AsyncAPI document", maxBody: maxImportBody,
		doc: "OpenAPI 3 webhooks and AsyncAPI 2 or 3 messages. Event types of the same name get the document's description and " +
			"schemas and are back in use if they were archived; a group and feature flags that the document does not give stay. " +
			"A large import is written in parts of 200, which are there one after the other.",
	}, a.importEventTypes)
	register(a, route{
		method: http.MethodPost, path: "/event-type/export/openapi", id: "v1.event-type.export-openapi", tag: tagEventType,
		needs: access.Operate, summary: "Export event types as a background task", status: http.StatusAccepted,
		doc: "The task is finished at once. GET /event-type/export/openapi returns the document itself.",
	}, a.exportEventTypes)
	register(a, route{
		method: http.MethodGet, path: "/event-type/export/openapi", id: "postrider.event-type.export", tag: tagEventType,
		needs: access.ViewCatalogue, summary: "Get all event types as an OpenAPI document",
		doc: "OpenAPI 3.1 with webhooks. With a key or token of one application, the event types that are activated for it and not archived.",
	}, a.exportDocument)
}

func (a *API) importEventTypes(ctx context.Context, in *CreateBody, body *EventTypeImportOpenAPIIn) (*answer[EventTypeImportOpenAPIOut], error) {
	types, err := body.read()
	if err != nil {
		return nil, err
	}
	out := &answer[EventTypeImportOpenAPIOut]{}
	out.Body.Data.Modified = modified(called(ctx).snap, types, body.ReplaceAll)
	if body.DryRun {
		would := make([]EventTypeFromOpenAPI, 0, len(types))
		for i := range types {
			would = append(would, fromDocument(&types[i]))
		}
		out.Body.Data.ToModify = &would
		return out, nil
	}
	out.Applied, err = a.writeEventTypes(ctx, out.Body.Data.Modified, types, in.WaitInput)
	return out, err
}

// read returns the event types of the document, sorted by name.
func (in *EventTypeImportOpenAPIIn) read() ([]catalogue.EventType, error) {
	raw, member := []byte(in.Spec), "spec"
	if in.SpecRaw != nil {
		raw, member = []byte(*in.SpecRaw), "specRaw"
	}
	if hasSpec := len(in.Spec) > 0; hasSpec == (in.SpecRaw != nil) {
		return nil, invalid(member, "want a document, as spec or as specRaw")
	}
	types, err := catalogue.Import(raw)
	if err == nil {
		return types, nil
	}
	out := &ValidationError{}
	for _, e := range unjoin(err) {
		out.Detail = append(out.Detail, problem("body", member, e.Error()))
	}
	return nil, out
}

// modified returns the names that an import of types changes, sorted.
func modified(snap *registry.Snapshot, types []catalogue.EventType, replaceAll bool) []string {
	names := make([]string, 0, len(types))
	for i := range types {
		names = append(names, types[i].Name)
	}
	if !replaceAll {
		return names
	}
	for et := range snap.EventTypes() {
		if _, imported := byName(types, et.Name); !imported && !et.Archived {
			names = append(names, et.Name)
		}
	}
	slices.Sort(names)
	return names
}

func byName(types []catalogue.EventType, name string) (*catalogue.EventType, bool) {
	i, ok := slices.BinarySearchFunc(types, name, func(et catalogue.EventType, name string) int {
		if et.Name < name {
			return -1
		}
		if et.Name > name {
			return 1
		}
		return 0
	})
	if !ok {
		return nil, false
	}
	return &types[i], true
}

// writeEventTypes gives the event types of those names what types have of them, and archives those that types have not.
func (a *API) writeEventTypes(ctx context.Context, names []string, types []catalogue.EventType, wait WaitInput) (applied string, err error) {
	for part := range slices.Chunk(names, batch) {
		err = a.again(ctx, false, func(snap *registry.Snapshot) (err error) {
			changes := make([]registry.Change, 0, len(part))
			for _, name := range part {
				if et := imported(snap, types, name); et != nil {
					changes = append(changes, registry.PutEventType(et))
				}
			}
			if len(changes) > 0 {
				applied, err = a.applyAll(ctx, changes, wait, false)
			}
			if refused, ok := errors.AsType[*Error](err); ok && refused.Code == "conflict" {
				refused.Code = codeChanged // somebody created it since: it is there in the next snapshot
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return applied, nil
}

// imported returns what is to be written under a name, nil for nothing.
func imported(snap *registry.Snapshot, types []catalogue.EventType, name string) *catalogue.EventType {
	old, exists := snap.EventType(name)
	from, ok := byName(types, name)
	switch {
	case !ok && (!exists || old.Archived):
		return nil
	case !ok:
		et := *old
		et.Archived = true
		return &et
	}
	et := *from
	if exists {
		et.Version, et.Created = old.Version, old.Created
		if et.GroupName == "" {
			et.GroupName = old.GroupName
		}
		if et.FeatureFlags == nil {
			et.FeatureFlags = old.FeatureFlags
		}
	}
	return &et
}

func fromDocument(et *catalogue.EventType) EventTypeFromOpenAPI {
	return EventTypeFromOpenAPI{
		Name: et.Name, Description: et.Description, Schemas: et.Schemas, Deprecated: et.Deprecated,
		GroupName: optional(et.GroupName), FeatureFlags: et.FeatureFlags,
	}
}

func (a *API) exportEventTypes(ctx context.Context, _ *struct{}) (*answer[ExportEventTypeOut], error) {
	if _, err := exported(called(ctx)); err != nil {
		return nil, err
	}
	return &answer[ExportEventTypeOut]{Body: ExportEventTypeOut{
		ID: exportTask.Base62(taskPrefix), Status: "finished", Task: taskExport, UpdatedAt: a.opts.Now().UTC(),
	}}, nil
}

func (a *API) exportDocument(ctx context.Context, _ *struct{}) (*answer[jsonObject], error) {
	raw, err := exported(called(ctx))
	if err != nil {
		return nil, err
	}
	return &answer[jsonObject]{Body: raw}, nil
}

// exported is the document of the event types that the caller may see.
func exported(c *call) (jsonObject, error) {
	visible := c.visible()
	var types []catalogue.EventType
	for et := range c.snap.EventTypes() {
		if visible(et) && (c.principal.General() || !et.Archived) {
			types = append(types, *et)
		}
	}
	raw, err := catalogue.Export(types)
	return jsonObject(raw), err
}

// compile-time: what is embedded in answers is written as it is.
var _ json.Marshaler = jsonObject(nil)
