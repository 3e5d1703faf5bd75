package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
)

// hasSecrets reports whether any of the objects has a secret.
func hasSecrets(objects []registry.Exported) bool {
	return slices.ContainsFunc(objects, func(e registry.Exported) bool {
		found := false
		_, _ = registry.WithSecrets(e.Object, func(_, value, _ string) (string, error) {
			found = true
			return value, nil
		}) // which does not fail
		return found
	})
}

// unopened is what one cause keeps from being opened: a key that is not there, or an object's own.
type unopened struct {
	line  int
	field string
	err   error
	count int
}

// checkSecrets opens every secret of the file. A key that is missing is told once, with the first place that needs it.
func (i *importing) checkSecrets() error {
	causes := map[string]*unopened{}
	for _, e := range i.objects {
		_, _ = registry.WithSecrets(e.Object, func(field, value, associated string) (string, error) {
			err := errNotSealed
			if seal.IsSealed(value) {
				_, err = i.keyset.Open(value, associated)
			}
			if err != nil {
				note(causes, unopened{line: e.Line, field: field, err: err})
			}
			return value, nil
		}) // which does not fail
	}
	var errs []error
	for _, u := range inOrder(causes) {
		more := ""
		if u.count > 1 {
			more = fmt.Sprintf(" (and %d more)", u.count-1)
		}
		errs = append(errs, fmt.Errorf("%s: line %d: %s: %w%s", i.file, u.line, u.field, u.err, more))
	}
	return errors.Join(first(errs)...)
}

// errNotSealed refuses a secret in clear, which would be written as it is.
var errNotSealed = errors.New("is not encrypted: want it as 'postrider registry export' writes it")

// note keeps the first place of each cause. The fields of one object come in any order: the least is the first.
func note(causes map[string]*unopened, u unopened) {
	cause := u.err.Error()
	if !errors.Is(u.err, seal.ErrNoKey) {
		cause = fmt.Sprintf("%d %s", u.line, cause)
	}
	was, ok := causes[cause]
	if !ok {
		was = &u
		causes[cause] = was
	}
	was.count++
	if u.line == was.line && u.field < was.field {
		was.field = u.field
	}
}

func inOrder(causes map[string]*unopened) []*unopened {
	var list []*unopened
	for _, u := range causes {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b *unopened) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.err.Error(), b.err.Error()))
	})
	return list
}

// opened returns o with its secrets in clear, to be compared: encrypted again with another key it is the same.
func (i *importing) opened(o registry.Object) registry.Object {
	if i.keyset == nil {
		return o
	}
	o, _ = registry.WithSecrets(o, func(_, value, associated string) (string, error) {
		if plain, err := i.keyset.Open(value, associated); err == nil {
			return plain, nil
		}
		return value, nil // and differs
	}) // which does not fail
	return o
}
