// Package arch checks the rules that hold for the whole tree: who may import
// whom, that every package says what it is for, that tests do not sleep, and that
// every metric is listed where its package is described.
package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/postrider/postrider"

// root is the top of the repository as seen from here.
const root = "../.."

// file is one parsed Go file.
type file struct {
	path string // from the root, with slashes
	test bool
	ast  *ast.File
}

// dir is the directory of the file, which is its package's path in the module.
func (f file) dir() string { return path.Dir(f.path) }

// imports returns the import paths of the file.
func (f file) imports() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		paths = append(paths, p)
	}
	return paths
}

// mentions tells whether the file has name.sel.
func (f file) mentions(name, sel string) bool {
	found := false
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == sel {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == name {
				found = true
			}
		}
		return !found
	})
	return found
}

// parse returns all Go files of the repository.
func parse(t *testing.T) []file {
	t.Helper()
	var files []file
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			// As the go command does: hidden directories and testdata are not packages, and other modules are not ours.
			if p != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || otherModule(p)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		files = append(files, file{path: filepath.ToSlash(rel), test: strings.HasSuffix(name, "_test.go"), ast: parsed})
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, files, "Go files below %s", root)
	return files
}

// otherModule tells whether a directory is the top of a module of its own.
func otherModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func TestEveryPackageHasADoc(t *testing.T) {
	t.Parallel()
	type pkg struct{ dir, name string }
	docs := map[pkg]string{}
	for _, f := range parse(t) {
		p := pkg{f.dir(), strings.TrimSuffix(f.ast.Name.Name, "_test")}
		// A package of tests alone may say in them what it is for.
		docs[p] += f.ast.Doc.Text()
	}
	for p, doc := range docs {
		if strings.TrimSpace(doc) == "" {
			t.Errorf("%s: package %s has no doc comment", p.dir, p.name)
		}
	}
}

func TestNoTestSleeps(t *testing.T) {
	t.Parallel()
	files := parse(t)
	// In a bubble of testing/synctest a sleep is a step of a fake clock. The bubble
	// may be made in another file of the package than the sleep, or by test/internal/world.
	bubbles := map[string]bool{}
	for _, f := range files {
		if f.test && (slices.Contains(f.imports(), "testing/synctest") || slices.Contains(f.imports(), module+"/test/internal/world")) {
			bubbles[f.dir()] = true
		}
	}
	for _, f := range files {
		if (f.test || strings.HasPrefix(f.path, "test/")) && !bubbles[f.dir()] && f.mentions("time", "Sleep") {
			t.Errorf("%s: time.Sleep in a test: wait for what it waits for", f.path)
		}
	}
}

func parseSource(t *testing.T, source string) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "source.go", source, parser.ParseComments)
	require.NoError(t, err)
	return parsed
}

// Tests run in random order and leave no goroutine behind: packages begin theirs with test/suite, or with the Main of
// the brokers that they share, for which the Makefile asks for the same.
func TestEveryPackageBeginsItsTestsInOneWay(t *testing.T) {
	t.Parallel()
	begun := map[string]bool{}
	for _, f := range parse(t) {
		if !f.test {
			continue
		}
		begun[f.dir()] = begun[f.dir()] || f.mentions("suite", "Main") || f.mentions("suite", "Shuffle") ||
			f.mentions("kafkatest", "Main") || f.mentions("redistest", "Main")
	}
	require.NotEmpty(t, begun)
	for dir, ok := range begun {
		if !ok {
			t.Errorf("%s: its tests have no TestMain that calls suite.Main", dir)
		}
	}
}
