package profile

import "maps"

// With returns the profiles of s and other; of two with the same name, other's.
func (s Set) With(other Set) Set {
	all := maps.Clone(s.byName)
	maps.Copy(all, other.byName)
	return Set{byName: all}
}
