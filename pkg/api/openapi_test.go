package api

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openAPI(t *testing.T) (*harness, map[string]any) {
	t.Helper()
	h := newHarness(t)
	got := h.call("", "GET", "/openapi.json", nil)
	require.Equal(t, http.StatusOK, got.status)
	return h, got.json(t)
}

// Everything that somebody who writes a client needs is in the document.
func TestOpenAPIIsComplete(t *testing.T) {
	t.Parallel()
	h, doc := openAPI(t)
	assert.Equal(t, "3.1.0", doc["openapi"])
	paths := doc["paths"].(map[string]any)
	seen := map[string]bool{}
	for _, r := range h.api.routes {
		op, ok := paths[r.full()].(map[string]any)[strings.ToLower(r.method)].(map[string]any)
		require.True(t, ok, r.id)
		assert.Equal(t, r.id, op["operationId"])
		assert.False(t, seen[r.id], "%s is there twice", r.id)
		seen[r.id] = true
		assert.NotEmpty(t, op["summary"], r.id)
		assert.NotEmpty(t, op["tags"], r.id)
		assert.Equal(t, r.public, op["security"] == nil, "%s: security", r.id)
		assert.Equal(t, r.public, op[extPermission] == nil, "%s: permission", r.id)
		if !r.public {
			assert.NotEmpty(t, op[extRoles], r.id)
		}
		responses := op["responses"].(map[string]any)
		for status, ref := range map[string]string{"400": "Error", "401": "Error", "403": "Error", "404": "Error", "429": "Error", "422": "ValidationError"} {
			response, ok := responses[status].(map[string]any)
			if !ok {
				assert.Equal(t, "422", status, "%s: %s", r.id, status)
				continue
			}
			raw, err := json.Marshal(response["content"])
			require.NoError(t, err)
			assert.Contains(t, string(raw), `"#/components/schemas/`+ref+`"`, "%s: %s", r.id, status)
		}
		for status, response := range responses {
			assert.NotEmpty(t, response.(map[string]any)["description"], "%s: %s", r.id, status)
		}
		declared := map[string]bool{}
		parameters, _ := op["parameters"].([]any)
		for _, p := range parameters {
			p := p.(map[string]any)
			assert.NotEmpty(t, p["description"], "%s: %s", r.id, p["name"])
			assert.NotEmpty(t, p["schema"], "%s: %s", r.id, p["name"])
			declared[p["in"].(string)+" "+p["name"].(string)] = true
		}
		assert.Len(t, declared, len(parameters), "%s: a parameter is there twice", r.id)
		for _, name := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(r.path, -1) {
			assert.True(t, declared["path "+name[1]], "%s: %s", r.id, name[1])
		}
		assert.Equal(t, r.method == http.MethodPost && !r.public, declared["header idempotency-key"], r.id)
	}
}

// All schemas are JSON Schemas of the dialect of OpenAPI 3.1, and every reference leads somewhere.
func TestOpenAPISchemasCompile(t *testing.T) {
	t.Parallel()
	_, doc := openAPI(t)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	require.NoError(t, c.AddResource("urn:doc", doc))
	for name := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		_, err := c.Compile("urn:doc#/components/schemas/" + name)
		assert.NoError(t, err, name)
	}
	raw, err := json.Marshal(doc)
	require.NoError(t, err)
	for _, ref := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(string(raw), -1) {
		_, err := c.Compile("urn:doc" + ref[1])
		assert.NoError(t, err, ref[1])
	}
}

//go:embed testdata/svix-operations.txt
var svixOperations string

// Operations that the Svix API has are called as they are there.
func TestOperationsAreCalledAsInSvix(t *testing.T) {
	t.Parallel()
	theirs := map[string]string{}
	for line := range strings.Lines(svixOperations) {
		f := strings.Fields(line)
		require.Len(t, f, 3)
		theirs[f[0]+" "+f[1]] = f[2]
	}
	h := newHarness(t)
	shared := 0
	for _, r := range h.api.routes {
		if id, ok := theirs[r.method+" "+r.full()]; ok {
			shared++
			assert.Equal(t, id, r.id)
		} else {
			assert.True(t, strings.HasPrefix(r.id, "postrider.") || r.id == "v1.health.get", "%s is not in the Svix API", r.id)
		}
	}
	assert.Greater(t, shared, 15)
}

func TestReferencePage(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	got := h.call("", "GET", "/docs", nil)
	require.Equal(t, http.StatusOK, got.status)
	assert.Contains(t, got.header.Get("Content-Type"), "text/html")
	assert.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-")
	for _, r := range h.api.routes {
		assert.Contains(t, got.body, `id="`+r.id+`"`)
		assert.Contains(t, got.body, r.full())
		assert.Contains(t, got.body, string(r.needs))
	}
	assert.Contains(t, got.body, "curl -X POST")
	assert.Contains(t, got.body, "prefers-color-scheme: dark")
	assert.NotRegexp(t, `(?i)(src|href)\s*=\s*"?(https?:)?//`, got.body)
	assert.NotRegexp(t, `(?i)<script|<link|<img|<iframe|@import|url\(`, got.body)
	assert.Equal(t, strings.Count(got.body, "<section"), strings.Count(got.body, "</section>"))
	yaml := h.call("", "GET", "/openapi.yaml", nil)
	assert.Contains(t, yaml.body, "openapi: ")
}
