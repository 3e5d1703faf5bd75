package transform

import "github.com/itchyny/gojq"

// term rewrites a term with what follows it. Before .[] comes a guard: t[] is (t | __iter)[].
func (w *rewriter) term(t *gojq.Term) *gojq.Term {
	if t == nil || !w.enter() {
		return t
	}
	defer w.leave()
	out := w.bare(t)
	for _, s := range t.SuffixList {
		w.nodes++
		switch {
		case s.Iter:
			out = group(pipe(&gojq.Query{Term: out}, call("__iter")))
			out.SuffixList = append(out.SuffixList, &gojq.Suffix{Iter: true})
		case s.Index != nil:
			out.SuffixList = append(out.SuffixList, &gojq.Suffix{Index: w.index(s.Index)})
		default:
			out.SuffixList = append(out.SuffixList, &gojq.Suffix{Optional: true})
		}
	}
	return out
}

func group(q *gojq.Query) *gojq.Term { return &gojq.Term{Type: gojq.TermTypeQuery, Query: q} }

// bare rewrites a term without what follows it.
func (w *rewriter) bare(t *gojq.Term) *gojq.Term {
	out := &gojq.Term{Type: t.Type, Number: t.Number, Break: t.Break}
	switch t.Type {
	case gojq.TermTypeRecurse:
		return call(w.use("__recurse", 0)).Term
	case gojq.TermTypeIndex:
		out.Index = w.index(t.Index)
	case gojq.TermTypeFunc:
		name := w.function(t.Func.Name, len(t.Func.Args))
		out.Func = &gojq.Func{Name: name}
		for _, a := range t.Func.Args {
			out.Func.Args = append(out.Func.Args, w.lambda(a))
		}
	case gojq.TermTypeObject:
		out.Object = w.object(t.Object)
	case gojq.TermTypeArray:
		out.Array = &gojq.Array{Query: w.query(t.Array.Query)}
	case gojq.TermTypeUnary:
		out.Unary = &gojq.Unary{Op: t.Unary.Op, Term: w.term(t.Unary.Term)}
	case gojq.TermTypeNumber:
		if len(t.Number) > maxShort {
			w.fail("a number of %d characters: want at most %d", len(t.Number), maxShort)
		}
	case gojq.TermTypeFormat:
		return w.format(t)
	case gojq.TermTypeString:
		return w.text(t.Str, nil)
	case gojq.TermTypeIf:
		out.If = w.condition(t.If)
	case gojq.TermTypeTry:
		out.Try = &gojq.Try{Body: w.query(t.Try.Body), Catch: w.query(t.Try.Catch)}
	case gojq.TermTypeReduce:
		r := t.Reduce
		out.Reduce = &gojq.Reduce{
			Query: w.query(r.Query), Patterns: w.patterns(r.Patterns), Start: w.query(r.Start), Update: w.query(r.Update),
		}
	case gojq.TermTypeForeach:
		f := t.Foreach
		out.Foreach = &gojq.Foreach{
			Query: w.query(f.Query), Patterns: w.patterns(f.Patterns),
			Start: w.query(f.Start), Update: w.query(f.Update), Extract: w.query(f.Extract),
		}
	case gojq.TermTypeLabel:
		w.own(t.Label.Ident)
		out.Label = &gojq.Label{Ident: t.Label.Ident, Body: w.query(t.Label.Body)}
	case gojq.TermTypeQuery:
		out.Query = w.query(t.Query)
	case gojq.TermTypeIdentity, gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeBreak:
	}
	return out
}

// format rewrites @csv, and @csv "…\(.x)…", whose texts in between are formatted.
func (w *rewriter) format(t *gojq.Term) *gojq.Term {
	formatted := pipe(call("__deep"), &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFormat, Format: t.Format}})
	if t.Str == nil {
		return group(formatted)
	}
	return w.text(t.Str, formatted)
}

// text rewrites a string; "a\(b)c" is "a" + (b | tostring) + "c".
func (w *rewriter) text(s *gojq.String, format *gojq.Query) *gojq.Term {
	if s.Queries == nil {
		w.literals[s.Str] = true
		return &gojq.Term{Type: gojq.TermTypeString, Str: &gojq.String{Str: s.Str}}
	}
	if format == nil {
		format = call(w.use("__tostring", 0))
	}
	var sum *gojq.Query
	for _, q := range s.Queries {
		part := w.query(q)
		if q.Term == nil || q.Term.Str == nil || q.Term.Type != gojq.TermTypeString {
			part = pipe(part, format)
		}
		if sum != nil {
			part = call(operators[gojq.OpAdd].name, sum, part)
		}
		sum = part
	}
	return group(sum)
}

// index rewrites what stands in .[…]. A constant is looked at here, anything else when the program runs.
func (w *rewriter) index(x *gojq.Index) *gojq.Index {
	switch {
	case x.Str != nil && x.Str.Queries != nil:
		return &gojq.Index{Start: &gojq.Query{Term: w.text(x.Str, nil)}}
	case x.Name != "" || x.Str != nil:
		return &gojq.Index{Name: x.Name, Str: x.Str}
	case x.IsSlice:
		return &gojq.Index{IsSlice: true, Start: w.lambda(x.Start), End: w.lambda(x.End)}
	case constant(x.Start):
		if t := x.Start.Term; t.Type == gojq.TermTypeNumber && position(&meter{}, parseNumber(t.Number)) != nil {
			w.fail("an index of an array is too large: want less than %d", MaxIndex)
		}
		return &gojq.Index{Start: x.Start}
	default:
		return &gojq.Index{Start: pipe(w.lambda(x.Start), call("__position"))}
	}
}

func constant(q *gojq.Query) bool {
	if q.Term == nil || len(q.FuncDefs) > 0 || len(q.Term.SuffixList) > 0 {
		return false
	}
	return q.Term.Type == gojq.TermTypeNumber || q.Term.Type == gojq.TermTypeString && q.Term.Str.Queries == nil
}

func (w *rewriter) object(o *gojq.Object) *gojq.Object {
	out := &gojq.Object{}
	for _, kv := range o.KeyVals {
		w.nodes++
		c := &gojq.ObjectKeyVal{Key: kv.Key, KeyString: kv.KeyString, KeyQuery: w.query(kv.KeyQuery), Val: w.query(kv.Val)}
		if len(kv.Key) > 0 && kv.Key[0] == '$' {
			w.function(kv.Key, 0) // is it one that a program may have
		}
		if kv.KeyString != nil && kv.KeyString.Queries != nil {
			c.KeyString, c.KeyQuery = nil, &gojq.Query{Term: w.text(kv.KeyString, nil)}
			if kv.Val == nil {
				w.fail("a key of an object that is put together needs a value: {\"a\\(.b)\": .c}")
			}
		}
		out.KeyVals = append(out.KeyVals, c)
	}
	return out
}

func (w *rewriter) condition(c *gojq.If) *gojq.If {
	out := &gojq.If{Cond: w.query(c.Cond), Then: w.query(c.Then), Else: w.query(c.Else)}
	for _, e := range c.Elif {
		out.Elif = append(out.Elif, &gojq.IfElif{Cond: w.query(e.Cond), Then: w.query(e.Then)})
	}
	return out
}

func (w *rewriter) patterns(list []*gojq.Pattern) []*gojq.Pattern {
	var out []*gojq.Pattern
	for _, p := range list {
		out = append(out, w.pattern(p))
	}
	return out
}

func (w *rewriter) pattern(p *gojq.Pattern) *gojq.Pattern {
	if p == nil || !w.enter() {
		return p
	}
	defer w.leave()
	w.own(p.Name)
	out := &gojq.Pattern{Name: p.Name, Array: w.patterns(p.Array)}
	for _, o := range p.Object {
		w.own(o.Key)
		c := &gojq.PatternObject{Key: o.Key, KeyString: o.KeyString, KeyQuery: w.query(o.KeyQuery), Val: w.pattern(o.Val)}
		if o.KeyString != nil && o.KeyString.Queries != nil {
			c.KeyString, c.KeyQuery = nil, &gojq.Query{Term: w.text(o.KeyString, nil)}
		}
		out.Object = append(out.Object, c)
	}
	return out
}
