package catalogue

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// text makes a text of the format and length that s wants.
func text(s map[string]any) string {
	format, _ := s["format"].(string)
	if sample := sampleOf(format); sample != "" {
		return sample
	}
	out := "text"
	if least := min(limit(s, "minLength", 0), maxRepeated); utf8.RuneCountInString(out) < least {
		out = strings.Repeat(out, least/len(out)+1)[:least]
	}
	if most := limit(s, "maxLength", len(out)); most < len(out) {
		out = out[:most]
	}
	return out
}

// sampleOf returns a text of one of the formats of JSON Schema, or "".
func sampleOf(format string) string {
	switch format {
	case "date-time":
		return "2026-01-31T12:30:00Z"
	case "date":
		return "2026-01-31"
	case "time":
		return "12:30:00Z"
	case "duration":
		return "PT1H30M"
	case "email", "idn-email":
		return "ada@example.com"
	case "hostname", "idn-hostname":
		return "www.example.com"
	case "ipv4":
		return "192.0.2.1"
	case "ipv6":
		return "2001:db8::1"
	case "uri", "uri-reference", "iri", "iri-reference":
		return "https://example.com/resource"
	case "uuid":
		return "6f1c1b2e-9a55-4d0c-8f64-0f6f7f2d9e31"
	case "json-pointer":
		return "/field"
	case "regex":
		return "^text$"
	}
	return ""
}

// numeric makes the least number that s allows that is not below 1 without need.
func numeric(s map[string]any, whole bool) json.Number {
	step, ok := floatIn(s, "multipleOf")
	if !ok || step <= 0 {
		step = 1
	}
	if whole && step < 1 {
		step = 1
	}
	v := step
	if most, ok := upperBound(s); ok && v >= most.value {
		v = math.Floor(most.value/step) * step
		if most.exclusive && v >= most.value {
			v -= step
		}
	}
	if least, ok := lowerBound(s); ok && v <= least.value {
		v = math.Ceil(least.value/step) * step
		if least.exclusive && v <= least.value {
			v += step
		}
		if most, ok := upperBound(s); ok && !whole && (v > most.value || most.exclusive && v == most.value) {
			v = (least.value + most.value) / 2 // the step does not fit between
		}
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		v = 0
	}
	return json.Number(strconv.FormatFloat(v, 'f', -1, 64))
}

type bound struct {
	value     float64
	exclusive bool
}

func lowerBound(s map[string]any) (bound, bool) {
	if f, ok := floatIn(s, "exclusiveMinimum"); ok {
		return bound{f, true}, true
	}
	f, ok := floatIn(s, "minimum")
	return bound{f, false}, ok
}

func upperBound(s map[string]any) (bound, bool) {
	if f, ok := floatIn(s, "exclusiveMaximum"); ok {
		return bound{f, true}, true
	}
	f, ok := floatIn(s, "maximum")
	return bound{f, false}, ok
}
