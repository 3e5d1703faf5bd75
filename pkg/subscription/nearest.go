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

// distance is the Levenshtein distance of two words; of long ones, the greatest there is.
func distance(a, b string) int {
	const long = 64
	if len(a) > long || len(b) > long {
		return long
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
