package catalogue

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/subscription"
)

// maxErrors bounds how many errors of one document are told.
const maxErrors = 20

// Import reads the event types of an OpenAPI 3 document (webhooks, or x-webhooks) or of an AsyncAPI 2 or 3 document
// (messages), in JSON or YAML. They come sorted by name, validated, without times.
//
// An event type is called by the key of its webhook or, if that is no name, the operationId; AsyncAPI messages by their
// name, messageId or key. x-svix-group-name, x-group or the first tag is the group, x-svix-feature-flags the feature
// flags. The schema of the data stands alone: what it refers to within the document goes along, references out of the
// document are refused.
//
// The error joins one for each place: "webhooks.order.created.post.requestBody: …".
func Import(raw []byte) ([]EventType, error) {
	doc, err := parseDocument(raw)
	if err != nil {
		return nil, fmt.Errorf("reading document: %w", err)
	}
	im := importer{doc: doc, spent: &budget{left: maxBundled}, places: map[string]string{}}
	root := node{value: doc.root}
	openAPI, asyncAPI := root.version("openapi"), root.version("asyncapi")
	switch {
	case strings.HasPrefix(openAPI, "3."):
		im.openAPI(root)
	case strings.HasPrefix(asyncAPI, "2."), strings.HasPrefix(asyncAPI, "3."):
		im.asyncAPI(root, asyncAPI[0] == '3')
	default:
		return nil, errors.New("document is of no known kind: want a field openapi: 3.x, or asyncapi: 2.x or 3.x")
	}
	if len(im.errs) > 0 {
		return nil, errors.Join(im.errs...)
	}
	if len(im.types) == 0 {
		return nil, errors.New("document has no event types: want webhooks (OpenAPI) or messages in channels (AsyncAPI)")
	}
	slices.SortFunc(im.types, func(a, b EventType) int { return strings.Compare(a.Name, b.Name) })
	return im.types, nil
}

// version returns the version of a format; without quotes it is a number in YAML.
func (n node) version(format string) string {
	switch v := n.child(format).value.(type) {
	case string:
		return v
	case fmt.Stringer: // json.Number
		return v.String()
	}
	return ""
}

// importer collects event types and errors.
type importer struct {
	doc    *document
	spent  *budget
	types  []EventType
	places map[string]string // by name
	errs   []error
}

// full reports that nothing more is to be read: there are errors enough, or event types too many.
func (im *importer) full() bool { return len(im.errs) >= maxErrors || im.spent.left < 0 }

func (im *importer) fail(place string, err error) {
	if im.full() && len(im.errs) > 0 {
		return
	}
	im.errs = append(im.errs, within(place, err))
}

// add validates and adds an event type.
func (im *importer) add(place string, et EventType) {
	if other, twice := im.places[et.Name]; twice {
		im.fail(place, fmt.Errorf("event type %q is that of %s already", et.Name, other))
		return
	}
	if len(im.types) == MaxEventTypes {
		im.spent.left = -1
		im.fail(place, fmt.Errorf("more than %d event types: import fewer at a time", MaxEventTypes))
		return
	}
	for _, field := range fieldErrors(Validate(&et)) {
		im.fail(place, within(field.Field, errors.New(field.Detail)))
	}
	im.places[et.Name] = place
	im.types = append(im.types, et)
}

// fieldErrors takes apart what [Validate] joined.
func fieldErrors(err error) (out []*subscription.FieldError) {
	joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err)
	if !ok {
		return nil
	}
	for _, e := range joined.Unwrap() {
		if field, ok := errors.AsType[*subscription.FieldError](e); ok {
			out = append(out, field)
		}
	}
	return out
}

// schema bundles the schema at n, with examples in front.
func (im *importer) schema(n node, examples []any) (map[string]any, error) {
	schema, err := im.doc.bundle(n, im.spent)
	if err != nil {
		return nil, err
	}
	for _, e := range examples {
		if err := im.spent.spend(e, true); err != nil {
			return nil, err
		}
	}
	addExamples(schema, examples)
	return schema, nil
}

// described fills in what OpenAPI and AsyncAPI say in the same way; the first of the nodes that says something counts.
func described(et *EventType, from ...node) error {
	for _, n := range from {
		if et.Description == "" {
			et.Description = strings.TrimSpace(n.text("description", "summary", "title"))
		}
		if et.GroupName == "" {
			et.GroupName = groupOf(n)
		}
		et.Deprecated = et.Deprecated || n.truth("deprecated", "x-deprecated")
		et.Archived = et.Archived || n.truth("x-archived")
		if err := featureFlags(et, n); err != nil {
			return err
		}
	}
	return nil
}

// groupOf returns the group that n names or, if it names none, its first tag, should that be a possible name.
func groupOf(n node) string {
	if group := n.text("x-svix-group-name", "x-group"); group != "" {
		return group
	}
	tags := n.child("tags")
	if list, ok := tags.value.([]any); !ok || len(list) == 0 {
		return ""
	}
	first := tags.item(0)
	tag, ok := first.value.(string)
	if !ok {
		tag = first.text("name")
	}
	if tag = strings.Join(strings.Fields(tag), "-"); badWord(tag) != "" {
		return ""
	}
	return tag
}

func featureFlags(et *EventType, n node) error {
	if flag := n.text("x-svix-feature-flag"); flag != "" && len(et.FeatureFlags) == 0 {
		et.FeatureFlags = []string{flag}
	}
	switch flags := n.child("x-svix-feature-flags").value.(type) {
	case nil:
		return nil
	case []any:
		et.FeatureFlags = nil
		for _, f := range flags {
			text, ok := f.(string)
			if !ok {
				return within("x-svix-feature-flags", fmt.Errorf("holds %s: want texts", kindOf(f)))
			}
			et.FeatureFlags = append(et.FeatureFlags, text)
		}
		return nil
	default:
		return within("x-svix-feature-flags", fmt.Errorf("is %s: want a list of texts", kindOf(flags)))
	}
}
