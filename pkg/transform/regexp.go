package transform

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

const (
	// maxPattern is the longest regular expression, in bytes.
	maxPattern = 1024
	// maxPatternSize bounds a regular expression with its repetitions written out: a{1000} is short and large.
	maxPatternSize = 4096
	// maxPatterns bounds the compiled expressions that one instance of a program keeps.
	maxPatterns = 16
)

// patterns are compiled regular expressions. The interpreter's own cache keeps for ever what a program makes of its data.
type patterns map[string]compiled

type compiled struct {
	re   *regexp.Regexp
	size int
}

// matches returns what re finds in s, as indices in bytes; once unless the flags say g. Whether an expression was compiled
// before makes no difference to the work that is counted.
func (p patterns) matches(m *meter, s, re, flags string) (*regexp.Regexp, [][]int, error) {
	c, err := p.compile(re, strings.ReplaceAll(flags, "g", ""))
	if err != nil {
		return nil, nil, err
	}
	// Go matches in time proportional to the product; 64 of its steps are about one of the interpreter's.
	if err := m.spend(c.size + c.size*(1+len(s)/64)); err != nil {
		return nil, nil, err
	}
	n, each := 1, 8+12*c.re.NumSubexp()
	if strings.Contains(flags, "g") {
		n = 1 + m.left()/each // one more than there is work for
	}
	found := c.re.FindAllStringSubmatchIndex(s, n)
	return c.re, found, m.spend(len(found) * each)
}

func (p patterns) compile(re, flags string) (compiled, error) {
	key := flags + "/" + re
	if c, ok := p[key]; ok {
		return c, nil
	}
	if len(re) > maxPattern {
		return compiled{}, operand("a regular expression of %d bytes: want at most %d", len(re), maxPattern)
	}
	for _, f := range flags {
		switch f {
		case 'i':
			re = "(?i)" + re
		case 's', 'm': // to jq and to Oniguruma, m is that . matches line ends
			re = "(?s)" + re
		default:
			return compiled{}, operand("a flag of a regular expression that there is not: want g, i, m or s")
		}
	}
	tree, err := syntax.Parse(re, syntax.Perl)
	if err != nil {
		return compiled{}, operand("a regular expression is not valid") // the error quotes it, and it may be data
	}
	size := sizeOf(tree)
	if size > maxPatternSize {
		return compiled{}, operand("a regular expression is too large: want at most %d steps with repetitions written out",
			maxPatternSize)
	}
	r, err := regexp.Compile(re)
	if err != nil {
		return compiled{}, operand("a regular expression is not valid")
	}
	if len(p) == maxPatterns {
		clear(p)
	}
	p[key] = compiled{r, size}
	return p[key], nil
}

func sizeOf(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)/2
	for _, sub := range re.Sub {
		size = min(size+sizeOf(sub), maxPatternSize+1)
	}
	if re.Op == syntax.OpRepeat {
		size = min(size*max(re.Min, re.Max, 1), maxPatternSize+1)
	}
	return size
}

// match returns the matches as jq describes them: offsets and lengths in characters.
func (p patterns) match(m *meter, s, re, flags string) (any, error) {
	r, found, err := p.matches(m, s, re, flags)
	if err != nil {
		return nil, err
	}
	names, at := r.SubexpNames(), characters{text: s}
	list := make([]any, len(found))
	for i, x := range found {
		offset := at.offset(x[0])
		captures := make([]any, 0, len(names)-1)
		for j, name := range names[1:] {
			c := map[string]any{"name": nil, "offset": -1, "length": 0, "string": nil}
			if name != "" {
				c["name"] = name
			}
			if from, to := x[2*j+2], x[2*j+3]; from >= 0 {
				c["offset"] = offset + utf8.RuneCountInString(s[x[0]:from])
				c["length"] = utf8.RuneCountInString(s[from:to])
				c["string"] = s[from:to]
			}
			captures = append(captures, c)
		}
		list[i] = map[string]any{
			"offset": offset, "length": utf8.RuneCountInString(s[x[0]:x[1]]), "string": s[x[0]:x[1]], "captures": captures,
		}
	}
	return list, nil
}

// characters counts the characters before offsets that grow.
type characters struct {
	text         string
	bytes, count int
}

func (c *characters) offset(bytes int) int {
	c.count += utf8.RuneCountInString(c.text[c.bytes:bytes])
	c.bytes = bytes
	return c.count
}

// pieces cuts s at what re finds: for each match the text before it and its named groups, and the text after the last.
func (p patterns) pieces(m *meter, s, re, flags string) (any, error) {
	r, found, err := p.matches(m, s, re, flags)
	if err != nil {
		return nil, err
	}
	names, list, from := r.SubexpNames(), make([]any, 0, len(found)+1), 0
	for _, x := range found {
		groups := map[string]any{}
		for j, name := range names {
			if name == "" {
				continue
			}
			groups[name] = nil
			if x[2*j] >= 0 {
				groups[name] = s[x[2*j]:x[2*j+1]]
			}
		}
		list = append(list, []any{s[from:x[0]], groups})
		from = x[1]
	}
	return append(list, s[from:]), nil
}
