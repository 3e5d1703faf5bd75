package subscription

import (
	"fmt"
	"strings"
)

// ValidatePattern says what is wrong with an event type pattern: a type name, of which segments between dots may be "*"
// (exactly one segment) and the last may be "**" (one or more). "*" alone stands for all types. What a pattern covers is
// in package match.
func ValidatePattern(pattern string) error {
	switch {
	case pattern == "":
		return fmt.Errorf("empty: want an event type, or a pattern such as contact.*")
	case len(pattern) > MaxEventType:
		return fmt.Errorf("%d bytes: want at most %d", len(pattern), MaxEventType)
	}
	segments := strings.Split(pattern, ".")
	for i, s := range segments {
		switch {
		case s == "*", s == "**" && i == len(segments)-1:
		case s == "**":
			return fmt.Errorf("%q: ** is for the last segment only; * stands for one segment", pattern)
		case strings.Contains(s, "*"):
			return fmt.Errorf("%q: * stands for a whole segment between dots, not for a part of one", pattern)
		case s != "" && !uidPattern.MatchString(s):
			return fmt.Errorf("%q: want letters, digits and - _ . and * or ** as segments", pattern)
		}
	}
	return nil
}
