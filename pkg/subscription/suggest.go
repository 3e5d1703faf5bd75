package subscription

import (
	"fmt"
	"slices"
	"strings"
)

// suggest returns the continuation of "there is no such field": the name that was probably meant, or all there are.
func suggest(name string, names []string) string {
	if best := Nearest(name, slices.Values(names)); best != "" {
		return fmt.Sprintf(": did you mean %s?", best)
	}
	return ": want " + strings.Join(names, ", ")
}
