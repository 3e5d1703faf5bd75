package catalogue

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/*api*
var documents embed.FS

func imported(t *testing.T, file string) map[string]EventType {
	t.Helper()
	raw, err := documents.ReadFile("testdata/" + file)
	require.NoError(t, err)
	types, err := Import(raw)
	require.NoError(t, err)
	out := map[string]EventType{}
	for i, et := range types {
		require.NoError(t, Validate(&et))
		require.True(t, i == 0 || types[i-1].Name < et.Name, "not sorted")
		out[et.Name] = et
	}
	return out
}

func TestImportOpenAPI31(t *testing.T) {
	t.Parallel()
	types := imported(t, "openapi31.yaml")
	require.Len(t, types, 6)

	created := types["order.created"]
	assert.Equal(t, "An order was placed", created.Description)
	assert.Equal(t, "Orders-and-more", created.GroupName)
	assert.Equal(t, []string{"beta", "orders"}, created.FeatureFlags)
	assert.JSONEq(t, `{
		"type": "object",
		"properties": {
			"id": {"type": "integer"},
			"lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
			"replaces": {"$ref": "#"}
		},
		"required": ["id"],
		"$defs": {
			"Line": {"type": "object", "properties": {"sku": {"type": "string"}, "tax": {"$ref": "#/$defs/Tax"}}},
			"Tax": {"type": "number", "minimum": 0}
		},
		"examples": [{"id": 2, "lines": [{"sku": "A", "tax": 0.2}]}, {"id": 1, "lines": []}]
	}`, string(created.Schemas["1"]))

	deleted := types["order.deleted"]
	assert.Equal(t, "An order was deleted.", deleted.Description)
	assert.True(t, deleted.Deprecated)
	assert.Equal(t, "orders", deleted.GroupName)
	example, err := Example(&deleted, 0)
	require.NoError(t, err)
	assert.JSONEq(t, `{"id": 7}`, string(example))

	assert.JSONEq(t, `{}`, string(types["order.first"].Schemas["1"]))
	assert.Empty(t, types["order.second"].Schemas)
	assert.Equal(t, "Two operations", types["order.second"].Description)
	assert.JSONEq(t, `{
		"type": "object",
		"properties": {
			"category": {"$ref": "#/$defs/Category"},
			"default": {"$ref": "#/$defs/a_b_c"},
			"previous": {"$ref": "#/$defs/Category", "description": "as it was"}
		},
		"default": {"$ref": "not a reference"},
		"required": ["category"],
		"$defs": {
			"Category": {
				"type": "object", "properties": {"parent": {"$ref": "#/$defs/Category"}, "name": {"type": "string"}}
			},
			"a_b_c": {"type": "string"}
		}
	}`, string(types["category.changed"].Schemas["1"]))
	assert.Equal(t, "Shared", types["order.shared"].Description)
}

func TestImportOpenAPI30(t *testing.T) {
	t.Parallel()
	types := imported(t, "openapi30.json")
	require.Len(t, types, 1)
	user := types["user.created"]
	assert.Equal(t, "users", user.GroupName)
	assert.Equal(t, []string{"beta"}, user.FeatureFlags)
	assert.JSONEq(t, `{
		"type": "object",
		"properties": {
			"id": {"type": "integer", "exclusiveMinimum": 0},
			"name": {"type": ["string", "null"], "examples": ["Ada"]},
			"role": {"type": ["string", "null"], "enum": ["admin", "member", null]},
			"quota": {"type": "number", "maximum": 10}
		},
		"required": ["id"],
		"examples": [{"id": 3, "name": null}]
	}`, string(user.Schemas["1"]))
}

func TestImportAsyncAPI26(t *testing.T) {
	t.Parallel()
	types := imported(t, "asyncapi26.yaml")
	require.Len(t, types, 3)
	assert.Equal(t, "inline", types["user.signedup"].Description)

	renamed := types["user.renamed"]
	assert.Equal(t, "A user has another name", renamed.Description)
	assert.Equal(t, "traits", renamed.GroupName)
	assert.Equal(t, []string{"async"}, renamed.FeatureFlags)
	example, err := Example(&renamed, 0)
	require.NoError(t, err)
	assert.JSONEq(t, `{"old": "Ada", "new": "Augusta"}`, string(example))

	removed := types["Removed"]
	assert.True(t, removed.Deprecated)
	assert.Equal(t, "users", removed.GroupName, "the operation's")
	assert.JSONEq(t, `{
		"type": "object",
		"properties": {
			"id": {"$ref": "#/$defs/Id"},
			"pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}
		},
		"dependentRequired": {"pair": ["id"]},
		"dependentSchemas": {"id": {"required": ["pair"]}},
		"$defs": {"Id": {"type": "integer"}}
	}`, string(removed.Schemas["1"]))
}

func TestImportAsyncAPI30(t *testing.T) {
	t.Parallel()
	types := imported(t, "asyncapi30.yaml")
	require.Len(t, types, 3)
	want := `{
		"type": "object", "properties": {"amount": {"$ref": "#/$defs/Money"}}, "required": ["amount"],
		"$defs": {"Money": {
			"type": "object", "properties": {"minor": {"type": "integer"}, "currency": {"type": "string"}},
			"required": ["minor", "currency"]
		}}
	}`
	assert.JSONEq(t, want, string(types["PaymentSettled"].Schemas["1"]))
	assert.JSONEq(t, want, string(types["refused"].Schemas["1"]))
	assert.Equal(t, "A payment was refused", types["refused"].Description)
	assert.JSONEq(t, `{}`, string(types["payment.refunded"].Schemas["1"]))
}

func TestImportErrors(t *testing.T) {
	t.Parallel()
	hook := func(op string) string { return `{"openapi":"3.1.0","webhooks":{"a.b":{"post":` + op + `}}}` }
	body := func(schema string) string {
		return hook(`{"requestBody":{"content":{"application/json":{"schema":` + schema + `}}}}`)
	}
	const inBody = "webhooks.a.b.post.requestBody.content.application/json.schema"
	for name, c := range map[string]struct{ doc, want string }{
		"empty":          {"", "reading document: line 1, column 1: is empty"},
		"no YAML":        {"a: [", "reading document: line 1"},
		"two documents":  {"a: 1\n---\nb: 2", "line 2, column 1: a second document: want one per file"},
		"other kind":     {"swagger: '2.0'", "no known kind: want a field openapi: 3.x, or asyncapi"},
		"a list":         {"[]", "no known kind"},
		"nothing there":  {"openapi: 3.1.0", "document has no event types"},
		"no map":         {"openapi: 3.1.0\nwebhooks: []", "webhooks: is a list: want event types by name"},
		"no operation":   {`{"openapi":"3.1.0","webhooks":{"a.b":{}}}`, "webhooks.a.b: has no operation: want post"},
		"bad name":       {`{"openapi":"3.1.0","webhooks":{"a b":{"post":{}}}}`, `webhooks.a b.post.name: "a b": want only`},
		"bad group":      {hook(`{"x-group":"a b"}`), `webhooks.a.b.post.groupName: "a b": want only`},
		"bad flags":      {hook(`{"x-svix-feature-flags":"a"}`), "webhooks.a.b.post.x-svix-feature-flags: is a string"},
		"no JSON":        {hook(`{"requestBody":{"content":{"text/xml":{}}}}`), "webhooks.a.b.post.requestBody: has no JSON"},
		"remote":         {body(`{"$ref":"https://x.example/a.json"}`), inBody + `: $ref "https://x.example/a.json": want a place`},
		"file":           {body(`{"items":{"$ref":"file:///etc/passwd"}}`), inBody + `.items.$ref: $ref "file:///etc/passwd"`},
		"dangling":       {body(`{"allOf":[{"$ref":"#/x/y"}]}`), inBody + `.allOf[0].$ref: $ref "#/x/y": there is no such`},
		"circle":         {body(`{"$ref":"#/webhooks/a.b/post/requestBody/content/application~1json/schema"}`), "more than 16 references"},
		"no schema":      {body(`"text"`), inBody + ": is a string: want a schema"},
		"bad schema":     {body(`{"type":"txt"}`), "webhooks.a.b.post.schemas.1: is no JSON Schema: $.type: want"},
		"bad pattern":    {body(`{"pattern":"("}`), `webhooks.a.b.post.schemas.1: is no JSON Schema: $.pattern: want`},
		"dynamic":        {body(`{"$dynamicRef":"#a","$defs":{"a":{"$dynamicAnchor":"a"}}}`), "schemas.1: is no JSON Schema"},
		"avro":           {"asyncapi: 2.6.0\nchannels: {a: {publish: {message: {schemaFormat: application/vnd.apache.avro, payload: {}}}}}", "channels.a.publish.message.schemaFormat: \"application/vnd.apache.avro\": want a JSON Schema"},
		"dangling async": {"asyncapi: 3.0.0\nchannels: {a: {messages: {b: {$ref: '#/no'}}}}", `channels.a.messages.b: $ref "#/no"`},
		"twice": {
			"asyncapi: 3.0.0\nchannels: {a: {messages: {m: {name: x}}}, b: {messages: {n: {name: x}}}}",
			`channels.b.messages.n: event type "x" is that of channels.a.messages.m already`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Import([]byte(c.doc))
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Documents that are small and stand for something huge.
func TestImportIsBounded(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x]\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	var many, shared strings.Builder
	many.WriteString("openapi: 3.1.0\nwebhooks:\n")
	for i := range MaxEventTypes + 1 {
		fmt.Fprintf(&many, "  e%d: {post: {}}\n", i)
	}
	shared.WriteString("openapi: 3.1.0\ncomponents: {schemas: {A: {type: object, description: '" +
		strings.Repeat("long ", 40_000) + "'}}}\nwebhooks:\n")
	for i := range 1000 {
		fmt.Fprintf(&shared, "  e%d: {post: {requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}}}\n", i)
	}
	for name, c := range map[string]struct{ doc, want string }{
		"aliases":        {bomb.String(), "more than 1000000 values, aliases included"},
		"self":           {"a: &a [*a]", "nested more than 200 deep"},
		"deep JSON":      {strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), "nested more than 200 deep"},
		"deep brackets":  {strings.Repeat("[", 100_000), "line 1"},
		"size":           {strings.Repeat(" ", MaxDocument+1), "want at most 4194304"},
		"long names":     {"? " + strings.Repeat("n", 100_000) + "\n: [" + strings.Repeat("1,", 100_000) + "]", "no known kind"},
		"many":           {many.String(), "more than 2000 event types"},
		"shared schemas": {shared.String(), "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Import([]byte(c.doc))
			require.ErrorContains(t, err, c.want)
			require.Less(t, len(err.Error()), 16<<10, "an error is for people")
		})
	}
}

func TestExportRoundTrip(t *testing.T) {
	t.Parallel()
	sources := map[string][]EventType{"by hand": {{
		Name: "a.b", Description: "All fields", Deprecated: true, Archived: true, GroupName: "g", FeatureFlags: []string{"f", "g"},
		Schemas: map[string]json.RawMessage{
			"1": json.RawMessage(`{"type":"object","properties":{"self":{"$ref":"#"}}}`),
			"3": json.RawMessage(`{"$ref":"#/$defs/X","type":"object","$defs":{"X":{"properties":{"y":{"$ref":"#/$defs/Y"}}},"Y":{"type":"string"}},"examples":[{"y":"z"}]}`),
		},
	}, {Name: "a.b.v1", Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{}`)}}, {Name: "none"}}}
	for _, name := range shippedNames(t) {
		sources[name] = shipped(t, name)
	}
	for name, types := range sources {
		doc, err := Export(types)
		require.NoError(t, err)
		back, err := Import(doc)
		require.NoError(t, err, name)
		require.Len(t, back, len(types))
		byName := map[string]EventType{}
		for _, et := range back {
			byName[et.Name] = et
		}
		for _, want := range types {
			got := byName[want.Name]
			require.Len(t, got.Schemas, len(want.Schemas), want.Name)
			for version, schema := range want.Schemas {
				assert.JSONEq(t, string(schema), string(got.Schemas[version]), "%s %s", want.Name, version)
			}
			got.Schemas, want.Schemas = nil, nil
			assert.Equal(t, want, got)
		}
	}
	_, err := Export([]EventType{{Name: "a"}, {Name: "a"}})
	require.ErrorContains(t, err, `"a" is there twice`)
}

func FuzzImport(f *testing.F) {
	for _, name := range []string{"openapi31.yaml", "openapi30.json", "asyncapi26.yaml", "asyncapi30.yaml"} {
		raw, err := documents.ReadFile("testdata/" + name)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add([]byte("openapi: 3.1.0\nwebhooks: {a: &a {post: *a}}"))
	f.Add([]byte("<<: [{openapi: 3.1}]\nwebhooks: {? [a] : 1}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		types, err := Import(raw)
		if err != nil {
			return
		}
		doc, err := Export(types)
		require.NoError(t, err)
		back, err := Import(doc)
		require.NoError(t, err)
		require.Len(t, back, len(types))
		for i := range types {
			require.NoError(t, Validate(&types[i]))
			require.Equal(t, types[i].Name, back[i].Name)
		}
	})
}
