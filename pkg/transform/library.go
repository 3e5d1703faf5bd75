package transform

import (
	"maps"
	"slices"
	"sync"

	"github.com/itchyny/gojq"
)

// definition is a function of the prelude.
type definition struct {
	def   *gojq.FuncDef
	needs map[string]bool
}

// library is the prelude, rewritten: definitions by name/arity.
type library struct {
	definitions map[string]definition
	order       []string // as in the source
	literals    map[string]bool
}

// theLibrary takes a millisecond to make. It panics if the prelude is wrong, which every test shows.
var theLibrary = sync.OnceValue(func() *library { //nolint:gochecknoglobals // made once, immutable
	q, err := gojq.Parse(prelude + ".")
	if err != nil {
		panic(err)
	}
	l := &library{definitions: map[string]definition{}, literals: map[string]bool{}}
	for _, fd := range q.FuncDefs {
		l.order = append(l.order, key(fd.Name, len(fd.Args)))
		l.definitions[l.order[len(l.order)-1]] = definition{}
	}
	for i, fd := range q.FuncDefs {
		w := &rewriter{prelude: true, needs: map[string]bool{}, literals: l.literals}
		w.library(l)
		def := w.funcDef(fd)
		if w.err != nil {
			panic(w.err)
		}
		l.definitions[l.order[i]] = definition{def, w.needs}
	}
	return l
})

// closure returns the definitions of names and of all that they need, each after what it needs itself.
func (l *library) closure(names map[string]bool) []*gojq.FuncDef {
	var defs []*gojq.FuncDef
	seen := map[string]bool{}
	var visit func(names map[string]bool)
	visit = func(names map[string]bool) {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !seen[name] {
				seen[name] = true
				visit(l.definitions[name].needs)
				defs = append(defs, l.definitions[name].def)
			}
		}
	}
	visit(names)
	return defs
}
