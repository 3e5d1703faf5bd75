package configs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// promise is a row of a table of the profiles' README.
type promise struct {
	system string
	number int
	text   string
	proof  string
}

var (
	promiseRow = regexp.MustCompile(`(?m)^\| ([A-Z])([0-9]+) \| (.+?) \| (.*?) \|$`)
	namedTest  = regexp.MustCompile("^`(Test[A-Za-z0-9_]+)` in `([a-z/]+)`$")
	notKept    = regexp.MustCompile(`^(open|declined): \S`)
)

func promises(text string) (all []promise) {
	for _, row := range promiseRow.FindAllStringSubmatch(text, -1) {
		number, _ := strconv.Atoi(row[2]) // they are digits
		all = append(all, promise{row[1], number, row[3], row[4]})
	}
	return all
}

// problems says what is wrong with a table. tests returns the names of a package's tests.
func problems(all []promise, tests func(pkg string) map[string]bool) (out []string) {
	next := map[string]int{}
	for _, p := range all {
		next[p.system]++
		name := p.system + strconv.Itoa(p.number)
		if p.number != next[p.system] {
			out = append(out, name+": want "+p.system+strconv.Itoa(next[p.system])+" here, numbers have no gaps")
			next[p.system] = p.number
		}
		if notKept.MatchString(p.proof) {
			continue
		}
		for proof := range strings.SplitSeq(p.proof, "; ") {
			switch found := namedTest.FindStringSubmatch(proof); {
			case found == nil:
				out = append(out, name+": "+strconv.Quote(proof)+": want `TestName` in `package`, or open: or declined: and why")
			case !tests(found[2])[found[1]]:
				out = append(out, name+": there is no "+found[1]+" in "+found[2])
			}
		}
	}
	return out
}

// testsOf returns the names of the tests in a directory of the repository.
func testsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(pkg), "*_test.go"))
	require.NoError(t, err)
	names := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") && fn.Name.Name != "TestMain" {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

// Whoever renames or removes a test learns here what it proved.
func TestPromisesAreProved(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("profiles/README.md")
	require.NoError(t, err)
	all := promises(string(readme))
	systems := map[string]int{}
	open := 0
	for _, p := range all {
		systems[p.system]++
		if strings.HasPrefix(p.proof, "open:") {
			open++
		}
	}
	for _, system := range []string{"D", "F", "V", "P", "S"} {
		assert.Positive(t, systems[system], system)
	}
	assert.Len(t, systems, 5)
	cached := map[string]map[string]bool{}
	assert.Empty(t, problems(all, func(pkg string) map[string]bool {
		if cached[pkg] == nil {
			cached[pkg] = testsOf(t, pkg)
		}
		return cached[pkg]
	}))
	rows := regexp.MustCompile(`(?m)^\| [A-Z][0-9]+ `).FindAllString(string(readme), -1)
	assert.Len(t, all, len(rows), "a row that is not of three columns")
	t.Logf("%d promises, %d of them open", len(all), open)
}

func TestProblemsWithPromisesAreFound(t *testing.T) {
	t.Parallel()
	tests := func(pkg string) map[string]bool { return map[string]bool{"TestIt": pkg == "pkg/x"} }
	for text, want := range map[string]string{
		"| D1 | a | `TestIt` in `pkg/x` |\n| D2 | b | open: the portal |\n| F1 | c | declined: unsafe |": "",
		"| D1 | a | `TestOther` in `pkg/x` |":                     "D1: there is no TestOther in pkg/x",
		"| D1 | a | `TestIt` in `pkg/y` |":                        "D1: there is no TestIt in pkg/y",
		"| D1 | a | `TestIt` in `pkg/x`; `TestGone` in `pkg/x` |": "D1: there is no TestGone in pkg/x",
		"| D1 | a | later |":                                      "D1: \"later\"",
		"| D1 | a | open: |":                                      "D1: \"open:\"",
		"| D1 | a |  |":                                           "D1: \"\"",
		"| D1 | a | open: x |\n| D3 | b | open: x |":              "D3: want D2",
		"| D1 | a | open: x |\n| D1 | b | open: x |":              "D1: want D2",
		"| D2 | a | open: x |":                                    "D2: want D1",
	} {
		got := strings.Join(problems(promises(text), tests), "\n")
		if want == "" {
			assert.Empty(t, got)
		} else {
			assert.Contains(t, got, want)
		}
	}
}
