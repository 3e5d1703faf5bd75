package arch

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// layers are the packages below pkg/ from left to right. A package may import
// those to its left and, unless its layer is mechanism, those beside it.
// .golangci.yml says the same to the editor.
var layers = []struct {
	name     string
	packages []string
}{
	{"values", []string{"form", "ident", "tree", "offset", "event", "subscription", "delivery", "outcome", "access", "audit", "operational", "letter", "task", "pause"}},
	{"policy", []string{"match", "filter", "backoff", "failure", "sign", "envelope", "encrypt", "transform", "profile", "catalogue", "notice", "seal"}},
	{"mechanism", []string{"egress", "wire", "h2", "attempt", "gate", "registry", "kafka", "view", "token", "notify", "tracing"}},
	{"flow", []string{"pipeline", "history"}},
	{"faces", []string{"api", "portal", "canary"}},
	{"assembly", []string{"config", "app"}},
}

// Ranks of the layers that rules name.
const (
	values = iota
	policy
	mechanism
	_
	_
	assembly
	outside // cmd and test: they may import everything
)

// rank returns the layer of a package by its path in the module, or -1.
func rank(dir string) int {
	top, rest, _ := strings.Cut(dir, "/")
	if top == "cmd" || top == "test" {
		return outside
	}
	if top != "pkg" {
		return -1
	}
	name, _, _ := strings.Cut(rest, "/")
	return slices.IndexFunc(layers, func(l struct {
		name     string
		packages []string
	},
	) bool {
		return slices.Contains(l.packages, name)
	})
}

// forbidden says why package from must not import the path, or "".
func forbidden(from, imported string) string {
	at := rank(from)
	if at == values && imported == "net/http" {
		return "values do no I/O"
	}
	if strings.HasPrefix(imported, "github.com/twmb/franz-go") && at != outside && !within(from, "pkg/kafka") {
		return "only pkg/kafka speaks to brokers"
	}
	to, ok := strings.CutPrefix(imported, module+"/")
	if !ok || at == outside {
		return ""
	}
	switch top, _, _ := strings.Cut(to, "/"); top {
	case "topics":
		if at >= 0 && at < mechanism {
			return "topics are for mechanisms and what stands right of them"
		}
		return ""
	case "configs":
		if at < assembly && !within(from, "pkg/profile") {
			return "configs are for pkg/profile and assembly"
		}
		return ""
	case "pkg":
		return forbiddenBelowPkg(from, to)
	default:
		return "cmd and test are not libraries"
	}
}

func forbiddenBelowPkg(from, to string) string {
	a, b := rank(from), rank(to)
	switch {
	case a < 0:
		return "what holds files imports nothing of the module"
	case b > a:
		return "imports only go to the left"
	case a == mechanism && b == mechanism && first(from) != first(to) &&
		(first(from) != "attempt" || first(to) != "egress" && first(to) != "wire" && first(to) != "h2"):
		return "mechanisms do not import each other, except attempt → egress, wire, h2"
	default:
		return ""
	}
}

// within tells whether dir is the package or below it.
func within(dir, pkg string) bool { return dir == pkg || strings.HasPrefix(dir, pkg+"/") }

// first is the name directly below pkg/.
func first(dir string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(dir, "pkg/"), "/")
	return name
}

func TestImportsOnlyGoToTheLeft(t *testing.T) {
	t.Parallel()
	for _, f := range parse(t) {
		if strings.HasPrefix(f.path, "pkg/") && rank(f.dir()) < 0 {
			t.Errorf("%s: pkg/%s stands in no layer: give it one here and in .golangci.yml", f.path, first(f.dir()))
			continue
		}
		if f.test {
			continue // tests may bring together what the code keeps apart
		}
		for _, imported := range f.imports() {
			if why := forbidden(f.dir(), imported); why != "" {
				t.Errorf("%s imports %s: %s", f.path, imported, why)
			}
		}
	}
}

func TestTheLawItself(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, imported string
		allowed        bool
	}{
		{"pkg/event", "net/http", false},
		{"pkg/event", "pkg/delivery", true},
		{"pkg/event", "pkg/match", false},
		{"pkg/event", "topics", false},
		{"pkg/profile", "configs", true},
		{"pkg/match", "configs", false},
		{"pkg/profile", "pkg/envelope", true},
		{"pkg/attempt", "pkg/egress", true},
		{"pkg/attempt", "pkg/wire", true},
		{"pkg/attempt", "pkg/h2", true},
		{"pkg/egress", "pkg/attempt", false},
		{"pkg/egress", "pkg/wire", false},
		{"pkg/egress", "pkg/h2", false},
		{"pkg/gate", "pkg/registry", false},
		{"pkg/kafka", "topics", true},
		{"pkg/kafka", "github.com/twmb/franz-go/pkg/kgo", true},
		{"pkg/kafka/inner", "pkg/kafka", true},
		{"pkg/pipeline", "github.com/twmb/franz-go/pkg/kgo", false},
		{"pkg/pipeline", "pkg/gate", true},
		{"pkg/pipeline", "pkg/api", false},
		{"pkg/history", "pkg/pipeline", true},
		{"pkg/history", "pkg/config", false},
		{"pkg/app", "pkg/config", true},
		{"pkg/app", "test/kafkatest", false},
		{"topics", "pkg/event", false},
		{"cmd/postrider", "pkg/app", true},
		{"cmd/postrider", "github.com/twmb/franz-go/pkg/kfake", true},
		{"test/broker", "pkg/kafka", true},
	} {
		imported := c.imported
		if !strings.Contains(imported, ".") && imported != "net/http" {
			imported = path.Join(module, imported)
		}
		require.Equal(t, c.allowed, forbidden(c.from, imported) == "", "%s imports %s", c.from, c.imported)
	}
}
