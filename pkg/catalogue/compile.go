package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaURL is what the compiler takes a schema's address to be. Nothing can be loaded from it.
const schemaURL = "urn:postrider:schema"

// noLoader refuses to load whatever a schema refers to.
type noLoader struct{}

var errNoLoading = errors.New("only references within the schema (#/…) are followed")

// Load implements jsonschema.URLLoader.
func (noLoader) Load(string) (any, error) { return nil, errNoLoading }

// compiled is a schema that is ready to validate with. It is used by one goroutine at a time, because of the meter.
type compiled struct {
	schema *jsonschema.Schema
	meter  *meter
}

// compile compiles a schema without following any reference out of it. Formats are asserted: who writes
// "format: uuid" means it.
func compile(raw json.RawMessage) (*compiled, error) {
	doc, err := decodeJSON(raw)
	if err != nil {
		return nil, err
	}
	if _, ok := doc.(map[string]any); !ok {
		return nil, fmt.Errorf("is %s: want a JSON Schema, an object", kindOf(doc))
	}
	m := &meter{left: compileBudget}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(m.regexp)
	c.AssertFormat()
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, explainCompile(doc, err)
	}
	var schema *jsonschema.Schema
	err, within := m.guard(func() (err error) { schema, err = c.Compile(schemaURL); return err })
	if !within {
		return nil, errors.New("takes too much work to compile: want a smaller schema")
	}
	if err != nil {
		return nil, explainCompile(doc, err)
	}
	if err := m.attach(schema); err != nil {
		return nil, err
	}
	return &compiled{schema: schema, meter: m}, nil
}

// explainCompile says in one line why a schema is none. What the library says is several, with our made-up address.
func explainCompile(doc any, err error) error {
	if bad, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if invalid, ok := errors.AsType[*jsonschema.ValidationError](bad.Err); ok {
			e := explainer{data: doc, isSchema: true}
			e.explain(invalid)
			return errors.New("is no JSON Schema: " + strings.Join(e.texts(3), "; "))
		}
	}
	if bad, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return fmt.Errorf("refers to %q: %w", bad.URL, errNoLoading)
	}
	if bad, ok := errors.AsType[*jsonschema.InvalidRegexError](err); ok {
		return fmt.Errorf("pattern %q: %w", cut(bad.Regex, maxQuoted), bad.Err)
	}
	text := strings.ReplaceAll(err.Error(), schemaURL, "")
	return errors.New("is no JSON Schema: " + cut(strings.Join(strings.Fields(text), " "), 4*maxQuoted))
}

// validate returns the problems of v, which was decoded from size bytes, at most limit. What it costs is bounded by
// the size.
func (c *compiled) validate(v any, size, limit int) []Problem {
	c.meter.left = checkBudget + checkBudgetByte*size
	err, within := c.meter.guard(func() error { return c.schema.Validate(v) })
	if !within {
		return []Problem{{Path: "$", Want: "data that takes less work to check: it is too large for this schema"}}
	}
	if err == nil {
		return nil
	}
	e := explainer{data: v}
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		e.explain(invalid)
	} else {
		e.add(nil, "data that the schema can be applied to")
	}
	return e.problems[:min(limit, len(e.problems))]
}
