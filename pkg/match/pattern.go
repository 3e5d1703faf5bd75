package match

import "strings"

// Segments of a pattern that stand for others.
const (
	// one stands for exactly one segment.
	one = "*"
	// rest stands for one or more segments, and is the last segment of its pattern.
	rest = "**"
)

// Pattern reports whether an event type pattern covers eventType. It is the definition that [Index] implements for
// many patterns at once:
//
//   - a pattern without wildcards covers the type of that name;
//   - "*" in place of a segment covers exactly one segment: contact.*.changed covers contact.consent.changed;
//   - "**" as the last segment covers one or more: contact.** covers contact.created and contact.consent.changed;
//   - "*" alone covers every type, as "**" does: that is what it means in the products people come from (Convoy,
//     Outpost), and no other reading is of use.
//
// Segments are separated by dots. Names are compared byte for byte, upper and lower case differ.
func Pattern(pattern, eventType string) bool {
	if pattern == one {
		return true
	}
	for {
		head, tail, more := strings.Cut(pattern, ".")
		segment, left, further := strings.Cut(eventType, ".")
		switch {
		case head == rest && !more:
			return true
		case head != one && head != segment:
			return false
		case !more || !further:
			return more == further
		}
		pattern, eventType = tail, left
	}
}

// Covers reports whether any of the patterns covers eventType; no patterns cover every type.
func Covers(patterns []string, eventType string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if Pattern(p, eventType) {
			return true
		}
	}
	return false
}
