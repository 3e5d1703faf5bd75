package transform

import (
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// rewriter makes of a parsed program one that is bounded: functions are those of the prelude, operators those of this
// package, and .[], functions and their arguments are paid for. The interpreter checks its context at each instruction, but
// one instruction may be a text of 2 GiB, or the comparison of a value with 2^60 leaves.
type rewriter struct {
	prelude  bool
	scopes   [][]string // names/arities that the source defines, innermost last
	needs    map[string]bool
	literals map[string]bool
	nodes    int
	depth    int
	err      error
}

func key(name string, args int) string { return name + "/" + strconv.Itoa(args) }

// rewrite returns a program with the definitions of the prelude that it needs in front.
func rewrite(q *gojq.Query) (*gojq.Query, map[string]bool, error) {
	if q.Meta != nil || len(q.Imports) > 0 {
		return nil, nil, invalid("a program is one text: no module, import or include")
	}
	l := theLibrary()
	w := &rewriter{needs: map[string]bool{}, literals: maps.Clone(l.literals)}
	w.library(l)
	body := w.query(q)
	if w.err != nil {
		return nil, nil, w.err
	}
	whole := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: body}}
	whole.FuncDefs = l.closure(w.needs)
	return whole, w.literals, nil
}

func (w *rewriter) library(l *library) { w.scopes = [][]string{l.order} }

func (w *rewriter) fail(format string, args ...any) {
	if w.err == nil {
		w.err = invalid(format, args...)
	}
}

// enter counts a node, and reports whether the program is still small enough. leave must follow.
func (w *rewriter) enter() bool {
	w.nodes++
	w.depth++
	switch {
	case w.nodes > maxNodes:
		w.fail("is too long: want at most %d parts", maxNodes)
	case w.depth > maxNesting:
		w.fail("is nested too deep: want at most %d levels", maxNesting)
	}
	return w.err == nil
}

func (w *rewriter) leave() { w.depth-- }

func (w *rewriter) query(q *gojq.Query) *gojq.Query {
	if q == nil || !w.enter() {
		return q
	}
	defer w.leave()
	out := &gojq.Query{Op: q.Op}
	if len(q.FuncDefs) > 0 {
		w.scopes = append(w.scopes, nil)
		defer func() { w.scopes = w.scopes[:len(w.scopes)-1] }()
		for _, fd := range q.FuncDefs {
			out.FuncDefs = append(out.FuncDefs, w.funcDef(fd))
		}
	}
	if q.Term != nil {
		out.Term = w.term(q.Term)
		return out
	}
	if q.Op == 0 {
		out.Term = &gojq.Term{Type: gojq.TermTypeIdentity} // definitions alone
		return out
	}
	var whole *gojq.Query
	if w.isLong(q) {
		whole = w.chain(q)
	} else {
		whole = w.operator(q)
	}
	whole.FuncDefs = append(out.FuncDefs, whole.FuncDefs...)
	return whole
}

// isLong reports whether q is a chain of pipes or commas, whose length is no depth.
func (w *rewriter) isLong(q *gojq.Query) bool {
	return (q.Op == gojq.OpPipe || q.Op == gojq.OpComma) && len(q.FuncDefs) == 0
}

// chain rewrites a | b | c, and a, b, c, which are nested to the right and to the left, without going deeper.
func (w *rewriter) chain(q *gojq.Query) *gojq.Query {
	out := &gojq.Query{Op: q.Op, Patterns: w.patterns(q.Patterns)}
	part := func(p *gojq.Query) *gojq.Query {
		if p.Op == q.Op {
			w.depth--
			defer func() { w.depth++ }()
		}
		return w.query(p)
	}
	out.Left, out.Right = part(q.Left), part(q.Right)
	return out
}

func (w *rewriter) operator(q *gojq.Query) *gojq.Query {
	out := &gojq.Query{Op: q.Op, Patterns: w.patterns(q.Patterns)}
	switch op := q.Op; op {
	case gojq.OpAssign, gojq.OpModify:
		name := map[gojq.Operator]string{gojq.OpAssign: "__assign", gojq.OpModify: "__modify"}[op]
		return call(w.use(name, 2), w.lambda(q.Left), w.lambda(q.Right))
	case gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		// right as $_update | left |= . op $_update
		change := &gojq.Query{Op: gojq.OpAlt, Left: identity(), Right: call("$_update")}
		if guarded, ok := operators[updates[op]]; ok {
			change = call(guarded.name, identity(), call("$_update"))
		}
		return &gojq.Query{
			Op: gojq.OpPipe, Left: w.query(q.Right), Patterns: []*gojq.Pattern{{Name: "$_update"}},
			Right: call(w.use("__modify", 2), w.lambda(q.Left), change),
		}
	default:
		if guarded, ok := operators[op]; ok {
			return call(guarded.name, w.lambda(q.Left), w.lambda(q.Right))
		}
		out.Left, out.Right = w.query(q.Left), w.query(q.Right)
		return out
	}
}

// lambda rewrites what the interpreter runs as a function of its own: each run of it takes memory for all its variables.
func (w *rewriter) lambda(q *gojq.Query) *gojq.Query {
	if q == nil {
		return nil
	}
	before := w.nodes
	out := w.query(q)
	if n := w.nodes - before; n >= freeNodes {
		return pipe(call(toll(n)), out)
	}
	return out
}

// freeNodes is how many parts a function may have for its variables to be covered by its steps.
const freeNodes = 16

// toll is the name of the function that costs as much work as n parts.
func toll(n int) string { return "__toll" + strconv.Itoa(bits.Len(uint(n))) }

func (w *rewriter) funcDef(fd *gojq.FuncDef) *gojq.FuncDef {
	if !w.prelude {
		w.own(fd.Name)
		for _, a := range fd.Args {
			w.own(a)
		}
	}
	scope := []string{key(fd.Name, len(fd.Args))}
	if w.prelude && w.depth == 0 {
		scope = nil // of the library
	} else if n := len(w.scopes); n > 0 {
		w.scopes[n-1] = append(slices.Clip(w.scopes[n-1]), scope...)
	}
	for _, a := range fd.Args {
		scope = append(scope, key(strings.TrimPrefix(a, "$"), 0))
	}
	w.scopes = append(w.scopes, scope)
	defer func() { w.scopes = w.scopes[:len(w.scopes)-1] }()
	return &gojq.FuncDef{Name: fd.Name, Args: fd.Args, Body: w.lambda(fd.Body)}
}

// own refuses names that are this package's.
func (w *rewriter) own(name string) {
	if !w.prelude && strings.HasPrefix(strings.TrimPrefix(name, "$"), "_") {
		w.fail("%.64s: a name must not start with _", name)
	}
}

func (w *rewriter) use(name string, args int) string {
	w.needs[key(name, args)] = true
	return name
}

// function returns what a function is called in the rewritten program.
func (w *rewriter) function(name string, args int) string {
	full := key(name, args)
	if why, ok := refused[name]; ok && !w.defined(full) {
		w.fail("%s is not offered: %s", name, why)
		return name
	}
	switch {
	case strings.HasPrefix(name, "$"):
		w.own(name)
		return name
	case w.defined(full) && !strings.HasPrefix(name, "__"):
		return name
	case native[full]:
		return name
	case direct[full]:
		return "__" + name
	}
	if w.prelude {
		if raw, ok := strings.CutPrefix(name, "raw_"); ok {
			return raw
		}
		if strings.HasPrefix(name, "__") {
			if w.defined(full) {
				w.use(name, args)
			}
			return name
		}
	}
	w.own(name)
	if w.defined("__" + full) {
		return w.use("__"+name, args)
	}
	w.fail("%.64s is no function that there is, with %d arguments", name, args)
	return name
}

func (w *rewriter) defined(full string) bool {
	for _, s := range w.scopes {
		if slices.Contains(s, full) {
			return true
		}
	}
	return false
}

func identity() *gojq.Query { return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}} }

func call(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

func pipe(l, r *gojq.Query) *gojq.Query { return &gojq.Query{Op: gojq.OpPipe, Left: l, Right: r} }
