package letter

import (
	"iter"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

// MarkKind says what closed a letter.
type MarkKind string

// Kinds of a [Mark].
const (
	// Redriven: it was put back into deliveries.
	Redriven MarkKind = "redriven"
	// Discarded: someone decided that it is not to be delivered.
	Discarded MarkKind = "discarded"
	// Delivered: its delivery reached the endpoint in another way, by a resend for example.
	Delivered MarkKind = "delivered"
	// Reingested: a rejected record was put back into its source topic.
	Reingested MarkKind = "reingested"
)

// Headers of a mark: a record without value beside the letters, in the partition of the one it closes.
const (
	HeaderMark = "pr-mark" // a [MarkKind]
	// HeaderMarkOf is the place of the letter; a letter that was written later stays open. Without it all that the
	// delivery had before are closed.
	HeaderMarkOf = "pr-mark-of"
	// HeaderMarkBy is who did it, kind:id.
	HeaderMarkBy = "pr-mark-by"
)

// Mark closes a letter. A mark that is there twice, or that finds nothing open, changes nothing.
type Mark struct {
	Kind MarkKind
	ID   ident.ID
	// Of is the place of the letter, the zero position for all of ID.
	Of delivery.Position
	By string
	// Place is where the mark itself is.
	Place delivery.Position
}

func (m *Mark) set(name string, v []byte) {
	switch name {
	case HeaderMark:
		m.Kind = MarkKind(v)
	case HeaderMarkOf:
		m.Of, _ = delivery.ParsePosition(string(v)) // the zero position, if it is none
	case HeaderMarkBy:
		m.By = string(v)
	}
}

// Headers yields the headers of the mark's record that every mark has.
func (m *Mark) Headers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if !yield(HeaderMark, string(m.Kind)) {
			return
		}
		if m.Of.Topic != "" && !yield(HeaderMarkOf, m.Of.String()) {
			return
		}
		if m.By != "" {
			yield(HeaderMarkBy, m.By)
		}
	}
}

// closes reports whether m closes the letter.
func (m *Mark) closes(h *Head) bool {
	if m.Of.Topic == "" {
		return h.Partition == m.Place.Partition && h.Offset < m.Place.Offset
	}
	return h.Partition == m.Of.Partition && h.Offset <= m.Of.Offset
}
