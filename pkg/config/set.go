package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/postrider/postrider/pkg/tracing"
)

// set writes raw, as YAML, the environment or a flag gave it, to the setting v. The error says what is allowed.
func set(v reflect.Value, raw any) error {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		return parse(p, raw, "a duration such as 250ms, 5s or 15m", time.ParseDuration)
	case *ByteSize:
		return parse(p, raw, "a size such as 512KiB, 256MiB or 1GiB", ParseByteSize)
	case *netip.Prefix:
		return parse(p, raw, "a network such as 10.0.0.0/8", netip.ParsePrefix)
	case *bool:
		return parse(p, raw, "true or false", strconv.ParseBool)
	case *int:
		return parse(p, raw, "a whole number", strconv.Atoi)
	case *float64:
		return parse(p, raw, "a number such as 0.01", func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
	case *tracing.TenantRatio:
		return parse(p, raw, "tenant=ratio such as acme=0.1, a ratio being from 0 to 1", func(s string) (r tracing.TenantRatio, err error) {
			return r, r.UnmarshalText([]byte(s))
		})
	}
	switch v.Kind() {
	case reflect.String:
		s, ok := scalar(raw)
		if !ok {
			return errors.New("a list or a section: want a text")
		}
		v.SetString(s)
		return nil
	case reflect.Slice:
		return setList(v, raw)
	case reflect.Struct:
		return setStruct(v, raw)
	default:
		panic("config: no rule for a setting of type " + v.Type().String())
	}
}

func parse[T any](to *T, raw any, want string, read func(string) (T, error)) error {
	s, ok := scalar(raw)
	if !ok {
		return fmt.Errorf("a list or a section: want %s", want)
	}
	got, err := read(s)
	if err != nil {
		return fmt.Errorf("%q: want %s", s, want)
	}
	*to = got
	return nil
}

// scalar returns the text of a YAML scalar.
func scalar(raw any) (string, bool) {
	switch raw := raw.(type) {
	case string:
		return raw, true
	case float64:
		if raw == math.Trunc(raw) && math.Abs(raw) < 1<<53 {
			return strconv.FormatInt(int64(raw), 10), true
		}
		return strconv.FormatFloat(raw, 'g', -1, 64), true
	case bool, int, int64, uint64, time.Duration:
		return fmt.Sprint(raw), true
	}
	return "", false
}

// setList writes a list. A text is split at commas, or is YAML for a list of sections.
func setList(v reflect.Value, raw any) error {
	var items []any
	switch raw := raw.(type) {
	case []any:
		items = raw
	case []string:
		for _, s := range raw {
			items = append(items, s)
		}
	case string:
		if v.Type().Elem() == reflect.TypeFor[Source]() {
			if err := yaml.Unmarshal([]byte(raw), &items); err != nil {
				return fmt.Errorf("reading YAML: %w", err)
			}
			break
		}
		for s := range strings.SplitSeq(raw, ",") {
			if s = strings.TrimSpace(s); s != "" {
				items = append(items, s)
			}
		}
	default:
		return fmt.Errorf("%v: want a list", raw)
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := set(list.Index(i), item); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	v.Set(list)
	return nil
}

// setStruct writes a section that is an element of a list.
func setStruct(v reflect.Value, raw any) error {
	section, ok := raw.(map[string]any)
	if !ok {
		return fmt.Errorf("%v: want a section with keys", raw)
	}
	for _, k := range keysOf(v.Type()) {
		value, ok := lookup(section, k.path)
		if !ok {
			continue
		}
		if err := set(v.FieldByIndex(k.index), value); err != nil {
			return fmt.Errorf("%s: %w", k.path, err)
		}
	}
	return nil
}

func lookup(section map[string]any, path string) (any, bool) {
	first, rest, nested := strings.Cut(path, ".")
	value := section[first]
	if inner, ok := value.(map[string]any); ok && nested {
		return lookup(inner, rest)
	}
	return value, value != nil && !nested
}
