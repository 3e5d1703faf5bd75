package api

import (
	"iter"
	"strings"
)

// Pages of lists. The iterator of an answer is the name of its last element, prevIterator a minus and that of its first;
// "-" sorts before what names are made of.
const (
	defaultLimit = 50
	maxLimit     = 250
)

// PageInput are the parameters of every list.
type PageInput struct {
	Limit    int    `query:"limit" minimum:"1" maximum:"250" default:"50" doc:"How many to return at most."`
	Iterator string `query:"iterator" maxLength:"512" doc:"The iterator or prevIterator of an earlier answer."`
}

// OrderInput is of lists that have an order.
type OrderInput struct {
	Order string `query:"order" enum:"ascending,descending" default:"ascending" doc:"By age."`
}

func (o OrderInput) descending() bool { return o.Order == "descending" }

// List is a page of a list.
type List[T any] struct {
	Data         []T     `json:"data" nullable:"false"`
	Iterator     *string `json:"iterator" nullable:"true" doc:"For the next page."`
	PrevIterator *string `json:"prevIterator,omitempty" nullable:"true" doc:"For the page before."`
	Done         bool    `json:"done" doc:"Whether there is no next page."`
}

// source yields the elements after the one that is named, which need not exist any more, in one of both orders. An empty
// name starts at the first.
type source[E any] func(after string, descending bool) (iter.Seq[E], error)

// paginate makes the page that in asks for of the elements that keep lets through. name is what iterators say; out is the
// element as it is shown.
func paginate[E, T any](
	in PageInput, descending bool, from source[E], keep func(E) bool, name func(E) string, out func(E) T,
) (*List[T], error) {
	limit := in.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	after, backwards := strings.CutPrefix(in.Iterator, "-")
	seq, err := from(after, descending != backwards)
	if err != nil {
		return nil, &ValidationError{Detail: []Problem{problem("query", "iterator", err.Error())}}
	}
	var found []E
	more := false
	for e := range seq {
		if !keep(e) {
			continue
		}
		if more = len(found) == limit; more {
			break
		}
		found = append(found, e)
	}
	if backwards {
		for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
			found[i], found[j] = found[j], found[i]
		}
		more = true // where it came from
	}
	page := &List[T]{Data: make([]T, 0, len(found)), Done: !more}
	for _, e := range found {
		page.Data = append(page.Data, out(e))
	}
	if len(found) > 0 {
		next, prev := name(found[len(found)-1]), "-"+name(found[0])
		page.Iterator, page.PrevIterator = &next, &prev
	}
	return page, nil
}

func all[E any](E) bool { return true }
