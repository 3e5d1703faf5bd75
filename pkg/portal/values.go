package portal

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// words are what stands between commas, spaces and line ends.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
}

// optional is nil for an empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// value is the text of a pointer, empty for nil.
func value(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// number is a number as a form shows it, empty for nil.
func number(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// count is a number as a form shows it, empty for 0.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func decimal(n float64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

func sortedNames(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// wholeNumber reads a number of at least 1.
func wholeNumber(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0
}
