package registry

// watch waits for the records of one write. A writer that lost its connection while it committed finds out by it: once it
// has fenced the log and the view has reached the end, the write was seen or was not made.
type watch struct {
	write string
	// seen and replayed are guarded by the view's lock. After a replay a write that was not seen may have been made all the
	// same: compaction takes records away that others replaced.
	seen, replayed bool
}

// watch returns a watch for a write that is yet to be made. It must be given back.
func (v *View) watch(write string) *watch {
	w := &watch{write: write}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.watches == nil {
		v.watches = map[*watch]bool{}
	}
	v.watches[w] = true
	v.watching.Add(1)
	return w
}

func (v *View) unwatch(w *watch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.watches, w)
	v.watching.Add(-1)
}

// saw notes that a record of a write was read.
func (v *View) saw(write string) {
	if write == "" || v.watching.Load() == 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for w := range v.watches {
		w.seen = w.seen || w.write == write
	}
}

// forget notes that the log is read anew.
func (v *View) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for w := range v.watches {
		w.replayed = true
	}
}

// fate returns what is known of a watched write.
func (v *View) fate(w *watch) (seen, replayed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return w.seen, w.replayed
}
