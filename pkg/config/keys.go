package config

import (
	"reflect"
	"slices"
	"strings"
)

// envPrefix starts the name of every environment variable that is configuration.
const envPrefix = "POSTRIDER_"

// key is one setting: where it stands in the file and in [Config].
type key struct {
	path  string // dotted: kafka.tls.ca_file
	index []int  // field path for reflect.Value.FieldByIndex
	typ   reflect.Type
}

// env returns the environment variable of k.
func (k key) env() string { return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_")) }

// keysOf lists the settings of a struct type in the order of its fields. Fields without a koanf tag are not settings.
func keysOf(t reflect.Type) []key {
	var keys []key
	for f := range t.Fields() {
		name := f.Tag.Get("koanf")
		switch {
		case f.Anonymous:
			name = ""
		case name == "" || name == "-":
			continue
		}
		if f.Type.Kind() != reflect.Struct {
			keys = append(keys, key{path: name, index: f.Index, typ: f.Type})
			continue
		}
		for _, k := range keysOf(f.Type) {
			k.path = strings.TrimPrefix(name+"."+k.path, ".")
			k.index = append(slices.Clone(f.Index), k.index...)
			keys = append(keys, k)
		}
	}
	return keys
}

// configKeys lists the settings of [Config].
func configKeys() []key { return keysOf(reflect.TypeFor[Config]()) }

// findKey returns the key with the given path.
func findKey(keys []key, path string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.path == path })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

// closest returns the candidate that got was probably meant to be, or "": at most two letters or a third of them differ.
func closest(got string, candidates []string) string {
	best, bestDistance := "", max(2, len(got)/3)+1
	for _, c := range candidates {
		if d := distance(got, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
