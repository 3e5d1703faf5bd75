package filter

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/postrider/postrider/pkg/subscription"
)

// maxSchemas bounds the event types that an expression is checked against; a subscription to all of a catalogue may cover
// thousands, and a mistake shows in the first.
const maxSchemas = 100

// Check is [Compile] for an expression that is about to be stored. schemas are the JSON Schemas of the event types that
// the subscription covers, by event type; those without schema may be left out or empty. An expression must fit at least
// one of them: its fields are declared there and are of the types that it takes them for. Without schemas, or with one
// that says nothing, every field is allowed.
//
// An object has the fields of its properties unless additionalProperties is true or a schema. Unions (anyOf, oneOf, allOf,
// several types) and what has no type may be anything.
func Check(expression string, schemas map[string]json.RawMessage) error {
	if _, err := Compile(expression); err != nil {
		return err
	}
	var refusals []refusal
	for _, eventType := range slices.Sorted(maps.Keys(schemas)) {
		if len(refusals) == maxSchemas {
			return nil
		}
		refused, err := checkOne(expression, eventType, schemas[eventType])
		if err != nil {
			return err
		}
		if refused.err == nil {
			return nil
		}
		refusals = append(refusals, refused)
	}
	if len(refusals) == 0 {
		return nil
	}
	return summarise(refusals)
}

// refusal is why an expression does not fit an event type.
type refusal struct {
	eventType string
	err       error
	missing   []missingField
}

func checkOne(expression, eventType string, schema json.RawMessage) (refusal, error) {
	s, t := newSchemaTypes(schema)
	if t == cel.DynType {
		return refusal{}, nil
	}
	env, err := s.environment(t)
	if err != nil {
		return refusal{}, fmt.Errorf("making the environment of a filter for %s: %w", eventType, err)
	}
	checked, issues := env.Compile(expression)
	switch left := slices.DeleteFunc(slices.Clone(issues.Errors()), tolerable); {
	case len(left) > 0:
		err = explain(left)
	case issues.Err() == nil:
		err = checkResult(checked)
	}
	return refusal{eventType, err, s.missing}, nil
}

func tolerable(issue *cel.Error) bool { return mixed()[oneLine(issue.Message)] }

// maxTold bounds how many event types an error tells about.
const maxTold = 3

// summarise makes one error of the refusals. A field that none has is the likeliest mistake, and is told once.
func summarise(refusals []refusal) error {
	for _, m := range refusals[0].missing {
		if everywhere(m, refusals) {
			return refuse("%s", m.describe(refusals))
		}
	}
	if len(refusals) == 1 {
		return refuse("%s (of %s)", detail(refusals[0].err), refusals[0].eventType)
	}
	var texts []string
	for _, r := range refusals[:min(maxTold, len(refusals))] {
		texts = append(texts, r.eventType+": "+detail(r.err))
	}
	if more := len(refusals) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return refuse("fits none of the event types: %s", strings.Join(texts, "; "))
}

func everywhere(m missingField, refusals []refusal) bool {
	for _, r := range refusals {
		if !slices.ContainsFunc(r.missing, func(o missingField) bool { return o.object == m.object && o.name == m.name }) {
			return false
		}
	}
	return true
}

func detail(err error) string { return strings.TrimPrefix(err.Error(), field+": ") }

// describe says that there is no such field, and which there are in all event types together.
func (m missingField) describe(refusals []refusal) string {
	var names []string
	for _, r := range refusals {
		for _, o := range r.missing {
			if o.object == m.object && o.name == m.name {
				names = append(names, o.names...)
			}
		}
	}
	slices.Sort(names)
	where := detail(refusals[0].err)
	place, _, _ := strings.Cut(where, " ")
	if strings.Count(place, ":") != 2 {
		place = ""
	} else {
		place += " "
	}
	return fmt.Sprintf("%s%s has no field %.64q: %s", place, strings.TrimPrefix(m.object, objectPrefix), m.name,
		suggest(m.name, slices.Compact(names)))
}

// maxNames bounds the names that an error lists.
const maxNames = 30

func suggest(name string, names []string) string {
	if best := subscription.Nearest(name, slices.Values(names)); best != "" {
		return "did you mean " + best + "?"
	}
	if len(names) > maxNames {
		names = append(names[:maxNames:maxNames], "…")
	}
	return "want " + strings.Join(names, ", ")
}
