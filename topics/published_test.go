package topics_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/topics"
)

var update = flag.Bool("update", false, "publish the schemas in their present form, unless that breaks a promise")

// promises says who relies on each schema.
var promises = map[string]promise{
	"outcome": toReaders, "dead-letter": toReaders, "operational": toReaders, "audit": toReaders,
	"cloudevent": toWriters, "conversation-event": toWriters,
}

const published = "schemas/published"

// parse reads a schema as a document.
func parse(t *testing.T, text []byte) (doc map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &doc))
	return doc
}

// latest is the highest version of a schema that is published.
func latest(t *testing.T, name string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(published, name+"-[0-9]*.json"))
	require.NoError(t, err)
	for n := range len(files) {
		require.FileExists(t, filepath.Join(published, fmt.Sprintf("%s-%d.json", name, n+1)), "versions count from 1, and all stay")
	}
	return len(files)
}

// TestSchemasKeepTheirPromises holds every schema against what was published of its version: whoever reads or writes by that
// goes on as before. What breaks is a new version: publish it as NAME-2.json by hand, and say so to everybody. What is added
// is published with `go generate ./topics`, and a promise from then on.
func TestSchemasKeepTheirPromises(t *testing.T) {
	files, err := fs.Glob(topics.Schemas, "schemas/*.json")
	require.NoError(t, err)
	require.Len(t, files, len(promises))
	for name, to := range promises {
		t.Run(name, func(t *testing.T) {
			text, err := topics.Schemas.ReadFile("schemas/" + name + ".json")
			require.NoError(t, err)
			version := latest(t, name)
			require.Positive(t, version, "publish the first version by hand")
			path := filepath.Join(published, fmt.Sprintf("%s-%d.json", name, version))
			was, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Empty(t, breaks(parse(t, was), parse(t, text), to), "this needs a new version")
			if *update {
				require.NoError(t, os.WriteFile(path, text, 0o644))
				was = text
			}
			require.Equal(t, string(text), string(was), "run go generate ./topics to publish what was added")
			if v, ok := below("properties/version/const", parse(t, text)); ok {
				require.EqualValues(t, version, v)
			}
		})
	}
}

// below returns what a JSON pointer leads to.
func below(pointer string, doc any) (any, bool) {
	for step := range strings.SplitSeq(pointer, "/") {
		switch d := doc.(type) {
		case map[string]any:
			doc = d[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(d) {
				return nil, false
			}
			doc = d[i]
		default:
			return nil, false
		}
	}
	return doc, doc != nil
}

// changed returns a copy of doc in which edit has been done to what the pointer leads to.
func changed(t *testing.T, doc map[string]any, pointer string, edit func(map[string]any)) map[string]any {
	t.Helper()
	text, err := json.Marshal(doc)
	require.NoError(t, err)
	copied := parse(t, text)
	target := any(copied)
	if pointer != "" {
		var ok bool
		target, ok = below(pointer, copied)
		require.True(t, ok, "nothing at %s", pointer)
	}
	edit(target.(map[string]any))
	return copied
}

func set(name string, v any) func(map[string]any) { return func(m map[string]any) { m[name] = v } }

func without(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }

// Each of these is a change that somebody would make, and what it does.
func TestChangesThatBreak(t *testing.T) {
	text, err := topics.Schemas.ReadFile("schemas/outcome.json")
	require.NoError(t, err)
	outcome := parse(t, text)
	const both = ""
	for name, c := range map[string]struct {
		at   string
		edit func(map[string]any)
		// want is what readers are told, and writers: empty if they are not.
		want, writers string
	}{
		"a member taken away":         {"properties", without("status"), "/properties/status: taken away", both},
		"a member renamed":            {"properties", func(m map[string]any) { m["state"] = m["status"]; delete(m, "status") }, "/properties/status: taken away", both},
		"a member of a member":        {"$defs/position/properties", without("offset"), "/properties/record/properties/offset: taken away", both},
		"a value taken away":          {"properties/reason", set("enum", []any{"delivered"}), "/properties/reason/enum: failed is taken away", both},
		"a closed set opened":         {"properties/verdict", func(m map[string]any) { delete(m, "enum"); m["type"] = "string" }, "/properties/verdict/enum: a closed set is opened or an open one closed", both},
		"an open set closed":          {"properties/profile", set("enum", []any{"svix"}), "/properties/profile/enum: a closed set is opened or an open one closed", both},
		"a value of items taken away": {"properties/redacted/items", set("enum", []any{"url"}), "/properties/redacted/items/enum: response_body is taken away", both},
		"a new member that is required": {"", func(m map[string]any) {
			m["properties"].(map[string]any)["new"] = map[string]any{}
			m["required"] = append(m["required"].([]any), "new")
		}, "/required: new is required, and was not", both},
		"an old member that is required": {"", func(m map[string]any) { m["required"] = append(m["required"].([]any), "status") }, "/required: status is required, and was not", both},
		"nothing is required any more":   {"", without("required"), "/required: version may be absent, and was always there", "none"},
		"another type":                   {"properties/attempt", set("type", "string"), "/properties/attempt/type: narrower: no integer any more", both},
		"a type that is narrower":        {"properties/duration_ms", set("type", "integer"), "/properties/duration_ms/type: narrower: no number any more", both},
		"a type that is wider":           {"properties/status", set("type", []any{"integer", "null"}), "/properties/status/type: is null, and was not said to be", "none"},
		"no type any more":               {"properties/status", without("type"), "/properties/status/type: may be anything, and was [integer]", "none"},
		"a type where there was none":    {"properties/verdict", set("type", "string"), "/properties/verdict/type: is string, and was not said to be", both},
		"another version":                {"properties/version", set("const", 2.0), "/properties/version/const: changed: 2, was 1", both},
		"a pattern changed":              {"properties/delivery", set("pattern", "^dlv_"), "/properties/delivery/pattern: changed: ^dlv_, was ^dlv_[0-9A-Za-z]{27}$", both},
		"a pattern where there was none": {"properties/profile", set("pattern", "x"), "/properties/profile/pattern: changed: x, was <nil>", both},
		"no pattern any more":            {"properties/delivery", without("pattern"), "/properties/delivery/pattern: changed: <nil>, was ^dlv_[0-9A-Za-z]{27}$", both},
		"another format":                 {"properties/at", set("format", "date"), "/properties/at/format: changed: date, was date-time", both},
		"a lower maximum":                {"properties/status", set("maximum", 599.0), "/properties/status/maximum: narrower: 599, was 999", both},
		"a maximum where there was none": {"properties/attempt", set("maximum", 100.0), "/properties/attempt/maximum: narrower: 100, was <nil>", both},
		"a higher minimum":               {"properties/attempt", set("minimum", 1.0), "/properties/attempt/minimum: narrower: 1, was 0", both},
		"a shorter text":                 {"properties/event_id", set("maxLength", 64.0), "/properties/event_id/maxLength: narrower: 64, was 256", both},
		"no other members":               {"", set("additionalProperties", false), "/additionalProperties/not: changed: map[], was <nil>", both},
		"other members of one type":      {"properties/response_headers/additionalProperties", set("type", "integer"), "/properties/response_headers/additionalProperties/type: narrower: no string any more", both},
		"a member unlike the others":     {"properties/response_headers", set("properties", map[string]any{"age": map[string]any{"type": "integer"}}), "/properties/response_headers/properties/age/type: narrower: no string any more", both},
		"a rule that is new":             {"", set("anyOf", []any{map[string]any{"required": []any{"due"}}}), "/anyOf: changed: [map[required:[due]]], was <nil>", both},
		"a reference led elsewhere":      {"properties/record", func(m map[string]any) { delete(m, "$ref"); m["type"] = "string" }, "/properties/record/type: narrower: no object any more", both},
		"a definition changed":           {"$defs/position/properties/partition", set("type", "string"), "/properties/source/properties/partition/type: narrower: no integer any more", both},
	} {
		t.Run(name, func(t *testing.T) {
			now := changed(t, outcome, c.at, c.edit)
			require.Contains(t, breaks(outcome, now, toReaders), c.want)
			if c.writers == "none" {
				require.Empty(t, breaks(outcome, now, toWriters))
			} else {
				require.Contains(t, breaks(outcome, now, toWriters), c.want)
			}
		})
	}
}

func TestChangesThatDoNot(t *testing.T) {
	text, err := topics.Schemas.ReadFile("schemas/outcome.json")
	require.NoError(t, err)
	outcome := parse(t, text)
	add := func(list string, v any) func(map[string]any) {
		return func(m map[string]any) { m[list] = append(m[list].([]any), v) }
	}
	for name, c := range map[string]struct {
		at   string
		edit func(map[string]any)
	}{
		"nothing":             {"", func(map[string]any) {}},
		"a member":            {"properties", set("new", map[string]any{"type": "string", "enum": []any{"a"}})},
		"a member below":      {"$defs/position/properties", set("epoch", map[string]any{"type": "integer"})},
		"one like the others": {"properties/response_headers", set("properties", map[string]any{"age": map[string]any{"type": "string"}})},
		"a value":             {"properties/reason", add("enum", "bored")},
		"a value of items":    {"properties/redacted/items", add("enum", "detail")},
		"other words":         {"properties/reason", set("description", "Why.")},
		"another title":       {"", set("title", "Result")},
		"a longer text":       {"properties/event_id", set("maxLength", 1024.0)},
		"any length":          {"properties/event_id", without("maxLength")},
		"a lower minimum":     {"properties/status", set("minimum", 0.0)},
		"in place of a reference": {"properties/record", func(m map[string]any) {
			position, _ := below("$defs/position", outcome)
			delete(m, "$ref")
			maps.Copy(m, position.(map[string]any))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, to := range []promise{toReaders, toWriters} {
				require.Empty(t, breaks(outcome, changed(t, outcome, c.at, c.edit), to))
			}
		})
	}
}

// mutations lists changes of every part of a schema that narrow it, by their pointers.
func mutations(pointer string, schema any, out map[string]func(map[string]any)) {
	m, ok := schema.(map[string]any)
	if !ok {
		return
	}
	for word, v := range m {
		here := pointer + " " + word
		deeper := strings.TrimPrefix(pointer+"/"+word, "/")
		switch word {
		case "enum":
			for i := range v.([]any) {
				out[fmt.Sprint(here, " ", i)] = func(m map[string]any) { m["enum"] = slices.Delete(slices.Clone(m["enum"].([]any)), i, i+1) }
			}
		case "required":
			out[here] = func(m map[string]any) { m["required"] = append(m["required"].([]any), "never-there") }
		case "type":
			out[here] = set("type", "boolean-or-so")
		case "const", "pattern", "format", "not", "if", "else", "anyOf", "contentEncoding":
			out[here] = set(word, "other")
		case "minimum", "minLength", "exclusiveMinimum":
			out[here] = set(word, v.(float64)+1)
		case "maximum", "maxLength":
			out[here] = set(word, v.(float64)-1)
		case "items":
			mutations(deeper, v, out)
		case "properties", "$defs":
			for name, s := range v.(map[string]any) {
				if word == "properties" {
					out[here+" "+name] = func(m map[string]any) { delete(m["properties"].(map[string]any), name) }
				}
				mutations(deeper+"/"+name, s, out)
			}
		}
	}
}

// TestEveryNarrowingIsSeen makes every part of every schema narrower, one at a time.
func TestEveryNarrowingIsSeen(t *testing.T) {
	for name := range promises {
		text, err := topics.Schemas.ReadFile("schemas/" + name + ".json")
		require.NoError(t, err)
		doc, all := parse(t, text), map[string]func(map[string]any){}
		mutations("", doc, all)
		require.Greater(t, len(all), 20, name)
		for where, edit := range all {
			pointer, _, _ := strings.Cut(where, " ")
			for _, to := range []promise{toReaders, toWriters} {
				require.NotEmpty(t, breaks(doc, changed(t, doc, pointer, edit), to), "%s: %s", name, where)
			}
		}
	}
}
