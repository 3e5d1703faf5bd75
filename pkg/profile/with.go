package profile

import "maps"

// With returns the profiles of s and other; of two with the same name, other's.
func (s Set) With(other Set) Set {
	all := maps.Clone(s.byName)
	maps.Copy(all, other.byName)
	return Set{byName: all}
}

// WithUserAgent returns the profiles of s, of which those that name no user agent send this one. An empty one changes
// nothing.
func (s Set) WithUserAgent(userAgent string) Set {
	all := make(map[string]*Profile, len(s.byName))
	for name, p := range s.byName {
		if p.UserAgent == "" {
			own := *p
			own.UserAgent = userAgent
			p = &own
		}
		all[name] = p
	}
	return Set{byName: all}
}
