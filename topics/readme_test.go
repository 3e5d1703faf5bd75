package topics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/topics"
)

// member is a property of a schema.
type member struct {
	Type        any
	Format      string
	Enum, Const any
	Ref         string `json:"$ref"`
	Items       *member
	Description string
}

// kind says in a word what a member holds.
func (m *member) kind() string {
	switch {
	case m.Ref != "":
		return "topic, partition, offset"
	case m.Items != nil:
		return "list of texts"
	case m.Format == "date-time":
		return "time"
	case m.Format == "uuid":
		return "UUID"
	case m.Enum != nil, m.Type == "string":
		return "text"
	case m.Const != nil:
		return "integer"
	}
	return fmt.Sprint(m.Type)
}

// memberNames are those of an outcome, in their order.
func memberNames() (names []string) {
	for f := range reflect.TypeFor[outcome.Outcome]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// memberTable is the table of an outcome's members.
func memberTable(t *testing.T) string {
	t.Helper()
	text, err := topics.Schemas.ReadFile("schemas/outcome.json")
	require.NoError(t, err)
	var doc struct {
		Required   []string
		Properties map[string]*member
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	var b strings.Builder
	b.WriteString("| Member | | In every row | |\n|---|---|---|---|\n")
	for _, name := range memberNames() {
		m, always := doc.Properties[name], ""
		require.NotEmpty(t, m.Description, "the schema does not say what %s is", name)
		if slices.Contains(doc.Required, name) {
			always = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.kind(), always, m.Description)
	}
	return b.String()
}

// between returns what stands in text after one thing and before another.
func between(t *testing.T, text, after, before string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, after)
	require.True(t, ok, "README.md lacks %q", after)
	found, _, ok := strings.Cut(rest, before)
	require.True(t, ok, "README.md lacks %q after %q", before, after)
	return found
}

// What analysts read about the members, and the columns that they copy, are those of the schema.
func TestReadmeTellsOfEveryMember(t *testing.T) {
	const begin, end = "go generate ./topics -->\n", "<!-- end -->"
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	readme, want := string(text), memberTable(t)
	got := between(t, readme, begin, end)
	if *update {
		readme = strings.Replace(readme, begin+got+end, begin+want+end, 1)
		require.NoError(t, os.WriteFile("README.md", []byte(readme), 0o644))
		got = want
	}
	require.Equal(t, want, got, "run go generate ./topics")

	duckdb := between(t, readme, `"row": 'STRUCT(`, ")'})")
	clickhouse := between(t, readme, "CREATE TABLE outcomes (", ") ENGINE")
	for _, name := range memberNames() {
		require.Contains(t, duckdb, `"`+name+`" `, "columns for DuckDB")
		require.Regexp(t, `[\s,]`+name+` [A-Z]`, clickhouse, "columns for ClickHouse")
	}
}

// Each value of the closed sets has its line.
func TestReadmeTellsOfEveryValue(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	readme := string(text)
	check := func(head string, values []string) {
		t.Helper()
		table := between(t, readme, head, "\n\n")
		var rows []string
		for line := range strings.Lines(table) {
			if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "`"); ok && strings.HasPrefix(line, "| `") {
				rows = append(rows, name)
			}
		}
		require.ElementsMatch(t, values, rows, head)
	}
	check("| Reason |", texts(outcome.Reasons()))
	check("| Result |", texts(outcome.Results()))
	check("| Verdict |", texts([]outcome.Verdict{outcome.Delivered, outcome.Retry, outcome.Parked, outcome.Dead, outcome.Cancelled}))
}

func texts[T ~string](list []T) (out []string) {
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}
