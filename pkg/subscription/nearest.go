package subscription

import (
	"iter"
	"strings"
)

// Nearest returns the name that was probably meant by one that is none of names: at most two letters differ, upper and
// lower case not counted. It is empty if there is none.
func Nearest(name string, names iter.Seq[string]) string {
	best, least := "", 3 // a distance of three or more is another word
	for n := range names {
		if max(len(n)-len(name), len(name)-len(n)) >= least {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}
