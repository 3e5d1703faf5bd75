package subscription

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits of transformations.
const (
	MaxCode        = 16 << 10 // bytes of a program
	MaxVariables   = 50       // of a program
	MaxVariableKey = 128      // bytes of a variable's name
	MaxVariable    = 4096     // bytes of a variable's value
)

// Transformation is a program that makes of each event the request that the endpoint wants, see package transform.
type Transformation struct {
	// Code is the program, in jq. Empty for none: then it is not Enabled.
	Code    string `json:"code,omitempty"`
	Enabled bool   `json:"enabled,omitempty"`
	// Variables are what the program has as $variables. Their values may be secret.
	Variables map[string]string `json:"variables,omitempty"`
	// Updated is when one of the others was last written, as the registry sees it.
	Updated time.Time `json:"updated,omitzero"`
}

// Same reports whether t and u are the same but for the time of their writing. Both may be nil.
func (t *Transformation) Same(u *Transformation) bool {
	if t == nil || u == nil {
		return t == u
	}
	return t.Code == u.Code && t.Enabled == u.Enabled && maps.Equal(t.Variables, u.Variables)
}

// Encryption says that the data of events is encrypted for the endpoint, see package encrypt.
type Encryption struct {
	Scheme string `json:"scheme" yaml:"scheme"`
	// Key is a secret, in the scheme's form.
	Key string `json:"key" yaml:"key"`
}

// Transforms reports whether events are transformed before they are sent.
func (s *Subscription) Transforms() bool { return s.Transformation != nil && s.Transformation.Enabled }

func (p *problems) transformation(t *Transformation, rules Rules) {
	if t == nil {
		return
	}
	switch {
	case t.Code == "" && t.Enabled:
		p.add("transformation.code", "missing: want a program, or none that is enabled")
	case len(t.Code) > MaxCode:
		p.add("transformation.code", "%d bytes: want at most %d", len(t.Code), MaxCode)
	case t.Code != "" && rules.CheckTransformation != nil:
		p.check("transformation.code", rules.CheckTransformation(t.Code))
	}
	if len(t.Variables) > MaxVariables {
		p.add("transformation.variables", "%d: want at most %d", len(t.Variables), MaxVariables)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(t.Variables)) {
		if name == "" || len(name) > MaxVariableKey {
			p.add("transformation.variables", "a name of %d bytes: want 1 to %d", len(name), MaxVariableKey)
		}
		p.text("transformation.variables."+name, t.Variables[name], MaxVariable)
	}
}

// encryption splits the name of the parameter off the rule's error, as in "key: want …".
func (p *problems) encryption(e *Encryption, rules Rules) {
	if e == nil || rules.CheckEncryption == nil {
		return
	}
	if err := rules.CheckEncryption(e.Scheme, e.Key); err != nil {
		field, detail, named := strings.Cut(err.Error(), ": ")
		if !named {
			field, detail = "key", fmt.Sprint(err)
		}
		p.add("encryption."+field, "%s", detail)
	}
}
