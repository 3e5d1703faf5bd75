package sign

import (
	"cmp"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Claim implements [Scheme].
func (s Standard) Claim(get func(name string) string) (Claim, error) {
	names := s.HeaderNames()
	var values [3]string
	var errs [3]error
	for i, name := range names {
		values[i], errs[i] = field(get, name)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return Claim{}, refuse(RefusedMissing, "%s", strings.ReplaceAll(err.Error(), "\n", ", "))
	}
	at, err := unix(names[1], values[1], false)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{ID: values[0], At: at}
	for s := range strings.FieldsSeq(values[2]) {
		if strings.HasPrefix(s, "v1,") || strings.HasPrefix(s, "v1a,") {
			c.Signatures = append(c.Signatures, s)
		}
	}
	if c.Signatures == nil {
		return Claim{}, refuse(RefusedMalformed, `header %s has no signature of a known version: want "v1,…" or "v1a,…", several with spaces between them`, names[2])
	}
	return c, nil
}

// Claim implements [Scheme].
func (Dixa) Claim(get func(name string) string) (Claim, error) {
	v, err := field(get, dixaHeader)
	if err != nil {
		return Claim{}, err
	}
	var c Claim
	var stamp string
	for part := range strings.SplitSeq(v, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			stamp = value
		case "v1":
			c.Signatures = append(c.Signatures, value)
		}
	}
	if stamp == "" || c.Signatures == nil {
		return Claim{}, refuse(RefusedMalformed, "header %s: want t=<Unix milliseconds>,v1=<hexadecimal digits>", dixaHeader)
	}
	c.At, err = unix(dixaHeader, stamp, true)
	return c, err
}

// Claim implements [Scheme].
func (t *Template) Claim(get func(name string) string) (Claim, error) {
	var c Claim
	for i, name := range t.names {
		v, err := field(get, name)
		if err != nil {
			return Claim{}, err
		}
		found, ok := t.values[i].match(v)
		if !ok {
			return Claim{}, refuse(RefusedMalformed, "header %s has not the form %s", name, t.Headers[name])
		}
		if stamp := found[varTimestamp]; stamp != "" {
			if c.At, err = unix(name, stamp, t.Timestamp == "ms"); err != nil {
				return Claim{}, err
			}
		}
		c.ID = cmp.Or(found[varID], c.ID)
		c.Signatures = append(c.Signatures, t.signaturesIn(found)...)
	}
	if t.signed.has(varTimestamp) && c.At.IsZero() || t.signed.has(varID) && c.ID == "" {
		return Claim{}, refuse(RefusedMissing, "no header of this template has the id and the time that are signed")
	}
	return c, nil
}

// signaturesIn returns the signatures that a header's variables hold.
func (t *Template) signaturesIn(found map[string]string) (out []string) {
	switch one := found[varSignature]; {
	case !t.signs && found[varSecret] != "":
		return []string{found[varSecret]}
	case one != "":
		out = append(out, one)
	}
	for text := range strings.SplitSeq(found[varSignatures], cmp.Or(t.Separator, " ")) {
		if each, ok := t.each.match(text); ok && each[varSignature] != "" {
			out = append(out, each[varSignature])
		}
	}
	return out
}

// match returns what the variables of the pattern stand for in a text that has its form.
func (p pattern) match(text string) (map[string]string, bool) {
	var form strings.Builder
	form.WriteString(`^`)
	for i, part := range p {
		switch {
		case i%2 == 0:
			form.WriteString(regexp.QuoteMeta(part))
		case part == varTimestamp:
			form.WriteString(`([0-9]+)`)
		default:
			form.WriteString(`(.+?)`)
		}
	}
	form.WriteString(`$`)
	groups := regexp.MustCompile(form.String()).FindStringSubmatch(text) // checked when the template was resolved
	if groups == nil {
		return nil, false
	}
	found := map[string]string{}
	for i, value := range groups[1:] {
		found[p[2*i+1]] = value
	}
	return found, true
}

// unix reads a time in Unix seconds or milliseconds.
func unix(header, text string, millis bool) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<53 {
		return time.Time{}, refuse(RefusedMalformed, "header %s: the time is not a whole number", header)
	}
	if millis {
		return time.UnixMilli(n), nil
	}
	return time.Unix(n, 0), nil
}
