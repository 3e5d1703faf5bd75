package arch

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// metricName is what a metric of Postrider is called. Other strings of a
// metrics.go (labels, help texts) do not look like this.
var metricName = regexp.MustCompile(`^postrider_[a-z0-9_]+$`)

func TestEveryMetricIsInItsPackageDoc(t *testing.T) {
	t.Parallel()
	files := parse(t)
	docs := map[string]string{}
	for _, f := range files {
		docs[f.dir()] += f.ast.Doc.Text()
	}
	for _, f := range files {
		if path.Base(f.path) != "metrics.go" || !strings.HasPrefix(f.path, "pkg/") {
			continue
		}
		for _, name := range metrics(f.ast) {
			if !mentioned(docs[f.dir()], name) {
				t.Errorf("%s: metric %s is not in the doc comment of the package", f.path, name)
			}
		}
	}
}

// metrics returns the metric names that a file defines: whole names as strings,
// and what prometheus options put together from Namespace, Subsystem and Name.
func metrics(f *ast.File) []string {
	var names []string
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if s := text(n); metricName.MatchString(s) {
				names = append(names, s)
			}
		case *ast.CompositeLit:
			if name := fromOptions(n); name != "" {
				names = append(names, name)
			}
		}
		return true
	})
	return names
}

func fromOptions(lit *ast.CompositeLit) string {
	parts := map[string]string{}
	for _, element := range lit.Elts {
		if kv, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok {
				parts[key.Name] = text(kv.Value)
			}
		}
	}
	if parts["Name"] == "" || parts["Help"] == "" || parts["Namespace"]+parts["Subsystem"] == "" {
		return ""
	}
	var joined []string
	for _, key := range []string{"Namespace", "Subsystem", "Name"} {
		if parts[key] != "" {
			joined = append(joined, parts[key])
		}
	}
	return strings.Join(joined, "_")
}

// text is the value of a string literal, or "".
func text(n ast.Expr) string {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value) // the parser has checked it
	return s
}

// mentioned tells whether the doc has the name as a whole word.
func mentioned(doc, name string) bool {
	return regexp.MustCompile(`(^|[^a-z0-9_])` + name + `($|[^a-z0-9_])`).MatchString(doc)
}

func TestMetricsAreFound(t *testing.T) {
	t.Parallel()
	f := parseSource(t, `package x
		var a = opts{Name: "postrider_a_total", Help: "."}
		var b = opts{Namespace: "postrider", Subsystem: "x", Name: "b", Help: "."}
		var c = opts{Name: "other", Label: "postrider_"}`)
	require.Equal(t, []string{"postrider_a_total", "postrider_x_b"}, metrics(f))
	require.True(t, mentioned("  postrider_a_total  attempts", "postrider_a_total"))
	require.False(t, mentioned("postrider_a_total_more", "postrider_a_total"))
}
