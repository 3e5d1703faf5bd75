package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/tracing"
)

// hidden is shown in the place of a secret.
const hidden = "(hidden)"

// secret reports whether the value of a key must never be shown.
func secret(path string) bool {
	return strings.HasSuffix(path, "password") || path == "encryption.keyset"
}

// String returns one key and value a line, secrets hidden. It is what %v prints.
func (c Config) String() string {
	var b strings.Builder
	root := reflect.ValueOf(c)
	for _, k := range configKeys() {
		v := root.FieldByIndex(k.index)
		value := text(v.Interface())
		if secret(k.path) && !v.IsZero() {
			value = hidden
		}
		fmt.Fprintf(&b, "%s: %s\n", k.path, value)
	}
	return b.String()
}

// GoString is String, for %#v.
func (c Config) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// text writes a value as it stands in YAML.
func text(v any) string {
	switch v := v.(type) {
	case time.Duration:
		s := v.String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return s
	case string:
		return quote(v)
	case []string:
		return list(v)
	case []int:
		return list(v)
	case []netip.Prefix:
		return list(v)
	case tracing.TenantRatio:
		return quote(v.String())
	case []tracing.TenantRatio:
		return list(v)
	case []Source:
		names := make([]string, 0, len(v))
		for _, s := range v {
			names = append(names, s.Name)
		}
		return list(names)
	}
	return fmt.Sprint(v)
}

func list[T any](items []T) string {
	texts := make([]string, 0, len(items))
	for _, item := range items {
		texts = append(texts, text(item))
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// quote leaves plain what YAML reads as the same text.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./"
	if s == "" || strings.Trim(s, plain) != "" || strings.Trim(s, "0123456789.-") == "" || s == "true" || s == "false" {
		return fmt.Sprintf("%q", s)
	}
	return s
}
