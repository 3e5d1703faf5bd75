package catalogue

import "strings"

// text returns a field that is a text, or "" if it is not there.
func (p *fileParser) text(n node, path, name string) string {
	v := n.child(name).value
	s, ok := v.(string)
	if !ok && v != nil {
		p.fail(joinPath(path, name), "is %s: want a text", kindOf(v))
	}
	return s
}

// truth returns a field that is true or false; false if it is not there.
func (p *fileParser) truth(n node, path, name string) bool {
	v := n.child(name).value
	b, ok := v.(bool)
	if !ok && v != nil {
		p.fail(joinPath(path, name), "is %s: want true or false", kindOf(v))
	}
	return b
}

// texts returns a field that is a list of texts.
func (p *fileParser) texts(n node, path, name string) (out []string) {
	field := n.child(name)
	list, ok := field.value.([]any)
	if !ok && field.value != nil {
		p.fail(joinPath(path, name), "is %s: want a list of texts", kindOf(field.value))
	}
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			p.fail(itemPath(joinPath(path, name), i), "is %s: want a text", kindOf(v))
		}
		out = append(out, s)
	}
	return out
}

// examples adds the examples to the schema that they are of.
func (p *fileParser) examples(n node, path string, schema map[string]any) {
	examples := n.child("examples").value
	list, ok := examples.([]any)
	switch {
	case examples == nil:
	case !ok:
		p.fail(path+".examples", "is %s: want a list", kindOf(examples))
	case schema == nil:
		p.fail(path+".examples", "are there, but no schema: want one")
	default:
		addExamples(schema, list)
	}
}

// checkExamples makes sure that the examples fit the schema. Nil stands for one that is known to be wrong.
func (p *fileParser) checkExamples(n node, path string, schema *compiled) {
	list, _ := n.child("examples").value.([]any)
	for i, example := range list {
		if schema == nil || len(p.errs) >= maxErrors {
			return
		}
		for _, problem := range schema.validate(example, MaxSchemas, MaxProblems) {
			p.fail(itemPath(path+".examples", i)+strings.TrimPrefix(problem.Path, "$"), "want %s", problem.Want)
		}
	}
}
