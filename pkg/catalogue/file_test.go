package catalogue

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/subscription"
)

func TestParseFile(t *testing.T) {
	t.Parallel()
	f, err := ParseFile("c.yaml", []byte(`
group: shop
definitions:
  Id: &id {type: integer}
  Node: {type: object, properties: {next: {$ref: "#/definitions/Node"}, id: {$ref: "#/definitions/Id"}}, required: [id]}
eventTypes:
  - name: a.b
    description: First
    schema: {$ref: "#/definitions/Node"}
    examples: [{id: 1, next: {id: 2}}]
  - name: a.c
    group: other
    deprecated: true
    archived: true
    featureFlags: [beta]
    schemas:
      "1": {type: string}
      2: {type: object, properties: {id: *id, day: {const: 2026-01-02}}, examples: [{id: 3}]}
    examples: [{id: 4, day: 2026-01-02}]
  - name: bare
`))
	require.NoError(t, err)
	require.Equal(t, "shop", f.Group)
	require.Len(t, f.EventTypes, 3)
	first, second := f.EventTypes[0], f.EventTypes[1]
	assert.Equal(t, "shop", first.GroupName)
	assert.JSONEq(t, `{"type":"object","properties":{"next":{"$ref":"#"},"id":{"$ref":"#/$defs/Id"}},"required":["id"],
		"$defs":{"Id":{"type":"integer"}},"examples":[{"id":1,"next":{"id":2}}]}`, string(first.Schemas["1"]))
	assert.JSONEq(t, `{"type":"string"}`, string(second.Schemas["1"]))
	assert.JSONEq(t, `{"type":"object","properties":{"id":{"type":"integer"},"day":{"const":"2026-01-02"}},
		"examples":[{"id":4,"day":"2026-01-02"},{"id":3}]}`, string(second.Schemas["2"]))
	second.Schemas = nil
	assert.Equal(t, EventType{Name: "a.c", GroupName: "other", Deprecated: true, Archived: true, FeatureFlags: []string{"beta"}}, second)
	assert.Equal(t, EventType{Name: "bare", GroupName: "shop"}, f.EventTypes[2])
}

func TestParseFileErrors(t *testing.T) {
	t.Parallel()
	one := func(fields string) string { return "eventTypes:\n  - name: a\n    " + fields + "\n" }
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", "c.yaml:1:1: is empty"},
		"no YAML":          {"a:\n\tb: 1", "c.yaml:2:1: found character that cannot start any token"},
		"a list":           {"[]", "c.yaml:1:1: is a list: want fields (name: value)"},
		"nothing":          {"group: a", "c.yaml:1:1: eventTypes: missing: want a list of event types"},
		"group":            {"group: a b\n" + one(""), `c.yaml:1:1: group: "a b": want only`},
		"unknown":          {one("titel: b"), "c.yaml:3:5: eventTypes[0].titel: there is no such field: want name, description"},
		"unknown on top":   {"x: 1\n" + one(""), "c.yaml:1:1: x: there is no such field: want group, definitions, eventTypes"},
		"no fields":        {"eventTypes:\n  - a", "c.yaml:2:5: eventTypes[0]: is a string: want fields"},
		"no name":          {"eventTypes:\n  - description: a", "c.yaml:2:5: eventTypes[0].name: missing: want 1 to 256"},
		"no text":          {one("description: [a]"), "c.yaml:3:5: eventTypes[0].description: is a list: want a text"},
		"no truth":         {one("deprecated: maybe"), "c.yaml:3:5: eventTypes[0].deprecated: is a string: want true or false"},
		"no flags":         {one("featureFlags: a"), "c.yaml:3:5: eventTypes[0].featureFlags: is a string: want a list of texts"},
		"no flag":          {one("featureFlags: [{}]"), "c.yaml:3:20: eventTypes[0].featureFlags[0]: is an object: want a text"},
		"event type twice": {one("") + "  - name: a", `c.yaml:4:5: eventTypes[1].name: "a": is that of eventTypes[0] already`},
		"field twice":      {one("name: b"), "c.yaml:3:5: eventTypes[0].name: is there twice"},
		"own group":        {one("group: a b"), `c.yaml:3:5: eventTypes[0].group: "a b": want only`},
		"both":             {one("schema: {}\n    schemas: {}"), "c.yaml:3:5: eventTypes[0].schema: is there, and so is schemas"},
		"schemas":          {one("schemas: []"), "c.yaml:3:5: eventTypes[0].schemas: is a list: want schemas by version"},
		"version":          {one("schemas:\n      one: {}"), `c.yaml:4:7: eventTypes[0].schemas.one: "one" is no version`},
		"bad schema":       {one("schema: {type: txt}"), "c.yaml:3:5: eventTypes[0].schema: is no JSON Schema: $.type: want"},
		"no schema":        {one("schema: text"), "c.yaml:3:5: eventTypes[0].schema: is a string: want a schema"},
		"dangling":         {one("schema:\n      items: {$ref: '#/definitions/X'}"), `c.yaml:3:5: eventTypes[0].schema: items.$ref: $ref "#/definitions/X": there is no`},
		"remote":           {one("schema: {$ref: other.yaml}"), `$ref "other.yaml": want a place within the document`},
		"examples":         {one("examples: [1]"), "c.yaml:3:5: eventTypes[0].examples: are there, but no schema"},
		"no examples":      {one("schema: {}\n    examples: 1"), "c.yaml:4:5: eventTypes[0].examples: is a number: want a list"},
		"bad example": {
			one("schema: {properties: {b: {type: string}}}\n    examples:\n      - {b: x}\n      - a: 1\n        b: 2"),
			"c.yaml:7:9: eventTypes[0].examples[1].b: want string, got number",
		},
		"merge": {one("<<: 1"), "c.yaml:3:9: eventTypes[0].<<: is a number: want fields or a list of them"},
		"tag":   {one("description: !!binary aGk="), "has the tag !!binary: want a value that JSON has"},
		"NaN":   {one("schema: {const: .nan}"), "want a number that JSON has, too"},
		"key":   {one("? [a]\n    : 1"), "want a text as name of a field"},
		"size":  {strings.Repeat("#", MaxDocument+1), "want at most 4194304"},
		"many":  {"eventTypes: [" + strings.Repeat("{},", MaxEventTypes+1) + "]", "2001: want at most 2000 in one file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseFile("c.yaml", []byte(c.text))
			require.ErrorContains(t, err, c.want)
			_, ok := errors.AsType[*subscription.FileError](err)
			require.True(t, ok)
		})
	}
}

// All mistakes are told, in the order of the file.
func TestParseFileTellsAll(t *testing.T) {
	t.Parallel()
	_, err := ParseFile("c.yaml", []byte("eventTypes:\n  - name: a b\n  - name: ok\n    schema: {type: x}\n  - x: 1\n    name: c"))
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 3)
	for i, want := range []string{"c.yaml:2:5", "c.yaml:4:5", "c.yaml:5:5"} {
		assert.Contains(t, lines[i], want)
	}
	_, err = ParseFile("c.yaml", []byte("eventTypes:\n"+strings.Repeat("  - name: a b\n", 100)))
	require.Len(t, strings.Split(err.Error(), "\n"), maxErrors)
}

func TestYAMLScalars(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"7": `7`, "-1.50": `-1.50`, "0x10": `16`, "1_000": `1000`, "+3": `3`, ".5": `0.5`, "1e3": `1e3`,
		"true": `true`, "False": `false`, "~": `null`, "null": `null`, "": `null`, "yes": `"yes"`,
		"2026-01-02T03:04:05Z": `"2026-01-02T03:04:05Z"`, "'7'": `"7"`, "|-\n a\n b": `"a\nb"`,
		"{a: &x {b: 1, c: 2}, d: {<<: *x, c: 3}}": `{"a":{"b":1,"c":2},"d":{"b":1,"c":3}}`,
		"{a: {<<: [{b: 1}, {b: 2, c: 3}]}}":       `{"a":{"b":1,"c":3}}`,
		"{1: a, true: b}":                         `{"1":"a","true":"b"}`,
	} {
		d, err := parseYAML([]byte("v: " + text))
		require.NoError(t, err, text)
		got, err := json.Marshal(d.root.(map[string]any)["v"])
		require.NoError(t, err)
		assert.Equal(t, want, string(got), text)
	}
}

func FuzzParseFile(f *testing.F) {
	for _, name := range []string{"voyado.yaml", "voice.yaml", "flexengage.yaml"} {
		raw, err := configs.Catalogues.ReadFile("catalogues/" + name)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add([]byte("eventTypes: [{name: a, schema: {$ref: '#'}, examples: [1]}]"))
	f.Add([]byte("eventTypes: [{name: a, schemas: {1: {$ref: '#/eventTypes/0/schemas/1'}}}]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := ParseFile("f.yaml", raw)
		if err != nil {
			if len(err.Error()) > 256<<10 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		for _, et := range file.EventTypes {
			require.NoError(t, Validate(&et))
		}
	})
}
