package letter

import (
	"iter"
	"sync"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/tree"
)

// MaxOpen is how many letters an [Open] holds by default: about 350 bytes each, 175 MB (see BenchmarkOpen). Whoever has more
// of them looks at causes, not at letters.
const MaxOpen = 500_000

// Open are the letters of one topic that are open: the fold of its records, whatever order its partitions are read in, and
// however often. Beyond its bound the oldest are left out. All methods may be called concurrently. Make one with [NewOpen].
type Open[L Letter] struct {
	most int

	mu      sync.Mutex
	byID    map[ident.ID]L
	all     tree.Map[place, L]
	tenants map[ident.ID]tree.Map[place, L]
	leftOut int
	// closed are the letters that marks have named, so that one which was left out is not taken up again, and one that is read
	// after its mark neither.
	closed closed
	// edit lets changes be made in place until the next list is taken.
	edit *tree.Edit
}

// place is where a letter stands in the order of age.
type place struct {
	at int64
	id ident.ID
}

func placeOf(h *Head) place { return place{h.At, h.ID} }

// NewOpen returns an empty fold that holds at most so many letters, [MaxOpen] if 0.
func NewOpen[L Letter](most int) *Open[L] {
	if most == 0 {
		most = MaxOpen
	}
	return &Open[L]{
		most: most, byID: map[ident.ID]L{}, all: tree.New[place, L](order), tenants: map[ident.ID]tree.Map[place, L]{},
		closed: closed{}, edit: new(tree.Edit),
	}
}

// Again returns an empty fold to read the same topic into from its start: it knows which letters are closed, so that there is
// room for those that were left out.
func (o *Open[L]) Again() *Open[L] {
	o.mu.Lock()
	defer o.mu.Unlock()
	again := NewOpen[L](o.most)
	again.closed = o.closed.clone()
	return again
}

// Put adds a letter, in place of an older one of the same delivery. One that is there, or for which a newer one is, changes
// nothing.
func (o *Open[L]) Put(l L) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed.has(l.head().Partition, l.head().Offset) {
		return
	}
	if old, ok := o.byID[l.head().ID]; ok {
		if !l.head().newer(old.head()) {
			return
		}
		o.remove(old)
	}
	h := l.head()
	o.byID[h.ID] = l
	o.all = o.all.Set(o.edit, placeOf(h), l)
	own, ok := o.tenants[h.Tenant]
	if !ok {
		own = tree.New[place, L](order)
	}
	o.tenants[h.Tenant] = own.Set(o.edit, placeOf(h), l)
	if len(o.byID) > o.most {
		for _, oldest := range o.all.All() {
			o.remove(oldest)
			o.leftOut++
			break
		}
	}
}

// Close removes the letter that a mark is of.
func (o *Open[L]) Close(m *Mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m.Of.Topic != "" {
		o.closed.add(m.Of.Partition, m.Of.Offset)
	}
	if l, ok := o.byID[m.ID]; ok && m.closes(l.head()) {
		o.remove(l)
	}
}

// Expire removes the letters that their partitions do not have any more: those below the first offset that each has.
func (o *Open[L]) Expire(starts map[int32]int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed.expire(starts)
	o.edit = new(tree.Edit) // what is walked through stays as it is
	for _, l := range o.all.All() {
		if start, ok := starts[l.head().Partition]; ok && l.head().Offset < start {
			o.remove(l)
		}
	}
}

func (o *Open[L]) remove(l L) {
	h := l.head()
	delete(o.byID, h.ID)
	o.all = o.all.Delete(o.edit, placeOf(h))
	if own := o.tenants[h.Tenant].Delete(o.edit, placeOf(h)); own.Len() > 0 {
		o.tenants[h.Tenant] = own
	} else {
		delete(o.tenants, h.Tenant)
	}
}

// Get returns the open letter of an id.
func (o *Open[L]) Get(id ident.ID) (L, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l, ok := o.byID[id]
	return l, ok
}

// Has reports whether l, of this fold or an earlier one, is still open: neither closed nor overtaken by a newer one.
func (o *Open[L]) Has(l L) bool {
	now, ok := o.Get(l.head().ID)
	return ok && now.head().Partition == l.head().Partition && now.head().Offset == l.head().Offset
}

// Len is how many are held, and leftOut how many were not kept because there were too many.
func (o *Open[L]) Len() (held, leftOut int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.byID), o.leftOut
}

// List yields the letters of a tenant, or all for the zero tenant, as they are at the time of the call: the oldest first, or
// the newest. After a cursor only those beyond it come; the zero one starts at the first.
func (o *Open[L]) List(tenant ident.ID, after Cursor, newest bool) iter.Seq[L] {
	o.mu.Lock()
	m := o.all
	if !tenant.IsZero() {
		m = o.tenants[tenant]
	}
	o.edit = new(tree.Edit)
	o.mu.Unlock()
	from := place(after)
	seq := m.All()
	switch {
	case m.Len() == 0:
		return func(func(L) bool) {}
	case newest && after == (Cursor{}):
		seq = m.Backward()
	case newest:
		seq = m.Before(from)
	case after != (Cursor{}):
		seq = m.From(from)
	}
	return func(yield func(L) bool) {
		for at, l := range seq {
			if at != from && !yield(l) {
				return
			}
		}
	}
}

// Select yields the letters of a tenant, or all for the zero tenant, beyond a cursor, oldest first: those of ids, or without
// any all.
func (o *Open[L]) Select(tenant ident.ID, ids []ident.ID, after Cursor) iter.Seq[L] {
	if len(ids) == 0 {
		return o.List(tenant, after, false)
	}
	named := tree.New[place, L](order)
	for _, id := range ids {
		if l, ok := o.Get(id); ok && (tenant.IsZero() || l.head().Tenant == tenant) && order(placeOf(l.head()), place(after)) > 0 {
			named = named.Set(nil, placeOf(l.head()), l)
		}
	}
	return func(yield func(L) bool) {
		for _, l := range named.All() {
			if !yield(l) {
				return
			}
		}
	}
}
