package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/subscription"
)

func typeOf(schema string) *EventType {
	return &EventType{Name: "t", Version: 1, Schemas: map[string]json.RawMessage{"1": json.RawMessage(schema)}}
}

func TestCurrent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		versions []string
		want     string
	}{
		{nil, ""},
		{[]string{"1"}, "1"},
		{[]string{"2", "10", "9"}, "10"},
		{[]string{"01", "x", "-3", "3"}, "3"},
		{[]string{"x"}, ""},
	} {
		et := &EventType{Schemas: map[string]json.RawMessage{}}
		for _, v := range c.versions {
			et.Schemas[v] = json.RawMessage(`"` + v + `"`)
		}
		version, schema, ok := et.Current()
		assert.Equal(t, c.want, version)
		assert.Equal(t, c.want != "", ok)
		if ok {
			assert.Equal(t, `"`+c.want+`"`, string(schema))
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	many := map[string]json.RawMessage{}
	for i := range MaxVersions + 1 {
		many[fmt.Sprint(i+1)] = json.RawMessage(`{}`)
	}
	for name, c := range map[string]struct {
		et    EventType
		field string
		want  string
	}{
		"no name":       {EventType{}, "name", "missing: want 1 to 256 of"},
		"name":          {EventType{Name: "a/b"}, "name", `"a/b": want only a-z, A-Z, 0-9, -, _ and .`},
		"long name":     {EventType{Name: strings.Repeat("a", 257)}, "name", "257 bytes: want at most 256"},
		"description":   {EventType{Name: "a", Description: strings.Repeat("a", MaxDescription+1)}, "description", "want at most 16384"},
		"group":         {EventType{Name: "a", GroupName: "ä"}, "groupName", `"ä": want only`},
		"flag":          {EventType{Name: "a", FeatureFlags: []string{"x", ""}}, "featureFlags[1]", "missing: want"},
		"flag twice":    {EventType{Name: "a", FeatureFlags: []string{"x", "x"}}, "featureFlags[1]", `"x": is there twice`},
		"flags":         {EventType{Name: "a", FeatureFlags: make([]string, 33)}, "featureFlags", "33: want at most 32"},
		"versions":      {EventType{Name: "a", Schemas: many}, "schemas", "33 versions: want at most 32"},
		"size":          {*typeOf(`{"title":"` + strings.Repeat("a", MaxSchemas) + `"}`), "schemas", "in all: want at most 262144"},
		"version":       {EventType{Name: "a", Schemas: map[string]json.RawMessage{"v1": nil}}, "schemas.v1", `"v1" is no version: want 1, 2, 3`},
		"no JSON":       {*typeOf(`{"a":`), "schemas.1", "is no JSON: it ends after 5 bytes"},
		"more":          {*typeOf(`{} {}`), "schemas.1", "has more after the JSON value"},
		"true":          {*typeOf(`true`), "schemas.1", "is a truth value: want a JSON Schema, an object"},
		"type":          {*typeOf(`{"properties":{"a":{"type":"txt"}}}`), "schemas.1", `is no JSON Schema: $.properties.a.type: want`},
		"remote":        {*typeOf(`{"$ref":"https://x.example/s.json"}`), "schemas.1", `refers to "https://x.example/s.json": only references within`},
		"file":          {*typeOf(`{"$ref":"file:///etc/passwd"}`), "schemas.1", "only references within"},
		"relative":      {*typeOf(`{"$id":"https://x.example/a","$ref":"b"}`), "schemas.1", "only references within"},
		"metaschema":    {*typeOf(`{"$ref":"http://json-schema.org/draft-07/schema#"}`), "schemas.1", "only references within"},
		"other draft":   {*typeOf(`{"$schema":"https://x.example/draft"}`), "schemas.1", "only references within"},
		"dynamic":       {*typeOf(`{"$dynamicRef":"#a","$defs":{"a":{"$dynamicAnchor":"a"}}}`), "schemas.1", "want $ref"},
		"dangling":      {*typeOf(`{"$ref":"#/$defs/none"}`), "schemas.1", "is no JSON Schema"},
		"costly regexp": {*typeOf(`{"pattern":"` + strings.Repeat("(a{900})", 6) + `"}`), "schemas.1", "smaller repetitions"},
		"huge number":   {*typeOf(`{"minimum":1e1000000}`), "schemas.1", "a number outside"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs := fieldErrors(Validate(&c.et))
			require.Len(t, errs, 1)
			assert.Equal(t, c.field, errs[0].Field)
			assert.Contains(t, errs[0].Detail, c.want)
			assert.NotContains(t, errs[0].Detail, "\n")
		})
	}
	require.NoError(t, Validate(typeOf(`{"$schema":"http://json-schema.org/draft-07/schema#","items":[{}]}`)))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		schema, payload string
		want            []string // nil if it fits
	}{
		"fits":       {`{"type":"object"}`, `{}`, nil},
		"type":       {`{"properties":{"a":{"items":{"type":"string"}}}}`, `{"a":["x",7]}`, []string{"$.a[1]: want string, got number"}},
		"integer":    {`{"type":"integer"}`, `1.0`, nil},
		"missing":    {`{"required":["a","b c"]}`, `{}`, []string{"$.a: want this field: it is missing", `$["b c"]: want this field: it is missing`}},
		"additional": {`{"additionalProperties":false}`, `{"x":"secret"}`, []string{"$.x: want no field of this name"}},
		"enum":       {`{"enum":["a",1]}`, `"secret"`, []string{`$: want one of ["a",1]`}},
		"const":      {`{"const":{"a":1}}`, `"secret"`, []string{`$: want {"a":1}`}},
		"format":     {`{"format":"uuid"}`, `"secret"`, []string{"$: want the format uuid"}},
		"regex":      {`{"format":"regex"}`, `"(secret"`, []string{"$: want the format regular expression"}},
		"pattern":    {`{"pattern":"^a+$"}`, `"secret"`, []string{`$: want text that matches "^a+$"`}},
		"range":      {`{"minimum":1.5,"multipleOf":2}`, `1`, []string{"$: want at least 1.5", "$: want a multiple of 2"}},
		"upper":      {`{"exclusiveMaximum":10}`, `10`, []string{"$: want less than 10"}},
		"lengths":    {`{"minLength":3,"maxItems":1,"minProperties":1}`, `[1,2]`, []string{"$: want at most 1 items, got 2"}},
		"unique":     {`{"uniqueItems":true}`, `["secret","secret"]`, []string{"$: want items that differ: 0 and 1 are the same"}},
		"or null":    {`{"anyOf":[{"type":"string"},{"type":"null"}]}`, `7`, []string{"$: want string or null"}},
		"deepest":    {`{"anyOf":[{"type":"null"},{"properties":{"a":{"type":"string"}}}]}`, `{"a":7}`, []string{"$.a: want string, got number"}},
		"one of":     {`{"oneOf":[{},{"type":"string"}]}`, `"secret"`, []string{"$: want exactly one of the alternatives of the schema"}},
		"not":        {`{"not":{}}`, `"secret"`, []string{"$: want other data: this is what the schema excludes"}},
		"never":      {`{"properties":{"a":false}}`, `{"a":"secret"}`, []string{"$.a: want nothing here"}},
		"contains":   {`{"contains":{"type":"null"}}`, `["secret"]`, []string{"$[0]: want null, got string"}},
		"loop":       {`{"$ref":"#"}`, `"secret"`, []string{"$: want a schema that does not refer to itself only"}},
		"no JSON":    {`{}`, `{"secret`, []string{"$: want JSON: the payload is no JSON: it ends after 8 bytes, within a value"}},
		"deep":       {`{}`, strings.Repeat("[", 300) + strings.Repeat("]", 300), []string{"$: want JSON: the payload is nested more than 200 deep"}},
		"number":     {`{"minimum":1}`, `1e400`, []string{"$: want JSON: the payload has a number outside ±1.8e308"}},
		"small":      {`{"minimum":1}`, `1e-100000`, []string{"$: want JSON: the payload has a number with an exponent below -400"}},
		"large":      {`{}`, strings.Repeat(" ", MaxPayload) + "1", []string{"$: want at most 1048576 bytes, got 1048577"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := NewValidators(1).Check(typeOf(c.schema), []byte(c.payload))
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			bad, ok := errors.AsType[*PayloadError](err)
			require.True(t, ok, "%v", err)
			var got []string
			for _, p := range bad.Problems {
				got = append(got, p.String())
			}
			assert.Equal(t, c.want, got)
			assert.Contains(t, err.Error(), "payload does not fit t, schema 1: $")
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestCheckTellsTenProblems(t *testing.T) {
	t.Parallel()
	var bad *PayloadError
	payload := "[" + strings.Repeat(`"x",`, 99) + `"x"]`
	require.ErrorAs(t, NewValidators(1).Check(typeOf(`{"items":{"type":"null"}}`), []byte(payload)), &bad)
	require.Len(t, bad.Problems, MaxProblems)
}

func TestCheckWithoutGoodSchema(t *testing.T) {
	t.Parallel()
	v := NewValidators(0)
	require.NoError(t, v.Check(&EventType{Name: "t"}, []byte("no JSON")), "no schema, no opinion")
	for range copies + 1 { // what does not compile must not use up the copies
		require.ErrorContains(t, v.Check(typeOf(`{"type":1}`), []byte(`1`)), "compiling schema 1 of t: is no JSON Schema")
	}
}

// Schemas under which a short payload would be checked for ever.
func TestCheckIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ schema, payload string }{
		"two branches": {
			`{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["x"]},{"properties":{"a":{"$ref":"#"}},"required":["y"]}]}`,
			strings.Repeat(`{"a":`, 60) + "{}" + strings.Repeat("}", 60),
		},
		"doubling": {doubling(40), `1`},
		"pattern":  {`{"pattern":"^(a?){900}$"}`, `"` + strings.Repeat("a", 1_000_000) + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, Validate(typeOf(c.schema)))
			err := NewValidators(1).Check(typeOf(c.schema), []byte(c.payload))
			require.ErrorContains(t, err, "want data that takes less work to check")
		})
	}
}

// doubling is a schema of n definitions of which each refers to the next twice.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/d0","$defs":{`)
	for i := range n {
		fmt.Fprintf(&b, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d":{"type":"integer"}}}`, n)
	return b.String()
}

func TestValidatorsKeepWhatWasUsedLast(t *testing.T) {
	t.Parallel()
	vs := NewValidators(2)
	check := func(version int64, schema, payload string) error {
		et := typeOf(schema)
		et.Version = version
		return vs.Check(et, []byte(payload))
	}
	require.NoError(t, check(1, `{"type":"string"}`, `"x"`))
	require.Error(t, check(2, `{"type":"integer"}`, `"x"`), "another version is another schema")
	require.NoError(t, check(1, `no schema, but that is not looked at`, `"x"`), "kept")
	require.NoError(t, check(3, `{}`, `"x"`))
	require.Len(t, vs.byKey, 2)
	require.Error(t, check(2, `no schema`, `1`), "was dropped")
	require.NoError(t, check(0, `{"type":"string"}`, `"x"`))
	require.Error(t, check(0, `{"type":"integer"}`, `"x"`), "never written: not kept")
	require.Equal(t, 2, vs.used.Len())
}

func TestValidatorsConcurrently(t *testing.T) {
	t.Parallel()
	vs := NewValidators(3)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				et := typeOf(`{"type":"object","required":["a"],"properties":{"a":{"pattern":"^x+$"}}}`)
				et.Version = int64(1 + (i+j)%5)
				assert.NoError(t, vs.Check(et, []byte(`{"a":"xx"}`)))
				assert.Error(t, vs.Check(et, []byte(`{"a":"y"}`)))
			}
		})
	}
	wg.Wait()
}

func TestEventTypeIsStoredAs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	raw, err := json.Marshal(EventType{Name: "a", Created: at, Updated: at, Version: 9, Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{}`)}})
	require.NoError(t, err)
	require.JSONEq(t, `{"name":"a","description":"","schemas":{"1":{}},"created":"2026-01-02T03:04:05Z","updated":"2026-01-02T03:04:05Z"}`, string(raw))
}

func FuzzCheck(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"$ref":"#"}}}`, []byte(`{"a":{"a":1}}`))
	f.Add(`{"anyOf":[{"items":{"format":"date-time"}},{"enum":[1,null]}]}`, []byte(`["x"]`))
	f.Add(`{"$defs":{"x":{"pattern":"a|b"}},"patternProperties":{"^x":{"$ref":"#/$defs/x"}},"unevaluatedProperties":false}`, []byte(`{"xy":"c"}`))
	f.Add(`{"multipleOf":1e-300,"minimum":-1e308}`, []byte(`1e308`))
	f.Add(doubling(30), []byte(`2`))
	f.Fuzz(func(t *testing.T, schema string, payload []byte) {
		et := typeOf(schema)
		if Validate(et) != nil {
			return
		}
		if err := NewValidators(1).Check(et, payload); err != nil {
			bad, ok := errors.AsType[*PayloadError](err)
			require.True(t, ok, "%v", err)
			require.NotEmpty(t, bad.Problems)
			require.LessOrEqual(t, len(bad.Problems), MaxProblems)
		}
		made, err := Example(et, 0)
		require.NoError(t, err)
		require.True(t, json.Valid(made))
	})
}

func TestExample(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ schema, want string }{
		"first example":  {`{"examples":[{"b":1,"a":2},3]}`, `{"b":1,"a":2}`},
		"of what it is":  {`{"$ref":"#/$defs/a","$defs":{"a":{"examples":[5]}}}`, `5`},
		"OpenAPI's":      {`{"example":5}`, `5`},
		"types":          {`{"type":"object","properties":{"s":{"type":"string"},"i":{"type":["null","integer"]},"n":{"type":"number"},"b":{"type":"boolean"},"z":{"type":"null"},"a":{"type":"array","items":{"type":"string"}},"any":{}}}`, `{"s":"text","i":1,"n":1,"b":true,"z":null,"a":["text"],"any":{}}`},
		"given":          {`{"properties":{"c":{"const":1},"d":{"default":2},"e":{"enum":[3,4]},"x":{"examples":[5]}}}`, `{"c":1,"d":2,"e":3,"x":5}`},
		"formats":        {`{"properties":{"t":{"format":"date-time"},"u":{"format":"uuid"},"e":{"format":"email"},"l":{"format":"uri"}}}`, `{"t":"2026-01-31T12:30:00Z","u":"6f1c1b2e-9a55-4d0c-8f64-0f6f7f2d9e31","e":"ada@example.com","l":"https://example.com/resource"}`},
		"bounds":         {`{"properties":{"a":{"type":"integer","minimum":10},"b":{"type":"integer","exclusiveMinimum":10},"c":{"type":"number","maximum":-2.5},"d":{"type":"integer","multipleOf":7,"minimum":8},"e":{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1},"f":{"type":"string","minLength":6},"g":{"type":"string","maxLength":2},"h":{"type":"array","minItems":2,"items":{"type":"null"}}}}`, `{"a":10,"b":11,"c":-3,"d":14,"e":0.5,"f":"textte","g":"te","h":[null,null]}`},
		"recursion":      {`{"type":"object","properties":{"name":{"type":"string"},"children":{"type":"array","items":{"$ref":"#"}}},"required":["name"],"maxProperties":1}`, `{"name":"text"}`},
		"all and any":    {`{"allOf":[{"$ref":"#/$defs/a"},{"properties":{"y":{"const":2}}}],"anyOf":[{"type":"null"},{"properties":{"z":{"const":3}}}],"$defs":{"a":{"properties":{"x":{"const":1}}}}}`, `{"x":1,"y":2,"z":3}`},
		"sparse":         {`{"properties":{"a":{"const":1},"b":{"const":2}},"required":["a"],"maxProperties":1}`, `{"a":1}`},
		"prefix":         {`{"prefixItems":[{"const":1},{"const":2}],"items":false}`, `[1,2]`},
		"unsolvable":     {`{"type":"string","pattern":"^[0-9]+$"}`, `"text"`},
		"false property": {`{"properties":{"a":false,"b":true}}`, `{"b":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 {
				got, err := Example(typeOf(c.schema), 0)
				require.NoError(t, err)
				require.JSONEq(t, c.want, string(got))
				if name != "unsolvable" && name != "first example" {
					require.NoError(t, NewValidators(1).Check(typeOf(c.schema), got))
				}
			}
		})
	}
}

// A schema that holds itself ends in an example that is small.
func TestExampleIsBounded(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		`{"type":"object","properties":{"a":{"$ref":"#"},"b":{"$ref":"#"},"c":{"$ref":"#"}}}`,
		`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`,
		`{"type":"array","items":{"$ref":"#"},"minItems":1000000}`,
		`{"$ref":"#"}`,
		doubling(40),
	} {
		made, err := Example(typeOf(schema), 0)
		require.NoError(t, err)
		require.Less(t, len(made), 64<<10)
	}
}

func TestExampleErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		et          *EventType
		index       int
		field, want string
	}{
		{&EventType{Name: "t"}, 0, "eventType", `"t" has no schema`},
		{typeOf(`{}`), 1, "exampleIndex", `1: event type "t" has 1, want 0 to 0`},
		{typeOf(`{"examples":[1,2,3]}`), 3, "exampleIndex", `3: event type "t" has 3, want 0 to 2`},
		{typeOf(`{"examples":[1,2,3]}`), -1, "exampleIndex", `-1: event type "t" has 3, want 0 to 2`},
	} {
		var field *subscription.FieldError
		_, err := Example(c.et, c.index)
		require.ErrorAs(t, err, &field)
		assert.Equal(t, c.field, field.Field)
		assert.Contains(t, field.Detail, c.want)
	}
	_, err := Example(typeOf(`{"type":1}`), 0)
	require.ErrorContains(t, err, "compiling schema of t")
}
