package registry

import "time"

// Try returns why each of the changes could not be made on top of s and of those before it, nil for those that could. A store
// makes nothing of a group of which one is refused; this finds all of them before anything is written, sizes included if
// secrets are written as they are.
func (s *Snapshot) Try(changes []Change) []error {
	p := newPlan(s, vault{}, time.Time{})
	errs := make([]error, len(changes))
	for i, c := range changes {
		errs[i] = p.change(c)
	}
	return errs
}
