package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/postrider/postrider/pkg/subscription"
)

// Default is the profile of tenants that name none.
const Default = "standard"

// Set is the profiles by name. It is read-only.
type Set struct{ byName map[string]*Profile }

// Load reads every .yaml file in fsys and its directories as one profile; the file's name is the profile's. An error
// names the file and the field and, for what is no YAML or no field, the line.
func Load(fsys fs.FS) (Set, error) {
	s := Set{byName: make(map[string]*Profile)}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".yaml" {
			return err
		}
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		p, err := parse(name, raw)
		if err != nil {
			return err
		}
		if want := strings.TrimSuffix(path.Base(name), ".yaml"); p.Name != want {
			return fmt.Errorf("%s: name: %q, want %q as the file's", name, p.Name, want)
		}
		if _, twice := s.byName[p.Name]; twice {
			return fmt.Errorf("%s: name: there are two profiles %q", name, p.Name)
		}
		s.byName[p.Name] = p
		return nil
	})
	if err != nil {
		return Set{}, fmt.Errorf("loading profiles: %w", err)
	}
	return s, nil
}

func parse(name string, raw []byte) (*Profile, error) {
	p := new(Profile)
	decoder := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict(), yaml.CustomUnmarshaler(unmarshalDuration))
	if err := decoder.Decode(p); err != nil {
		// The error itself is several lines, with the text around it.
		if bad, ok := errors.AsType[yaml.Error](err); ok && bad.GetToken() != nil {
			at := bad.GetToken().Position
			return nil, fmt.Errorf("%s:%d:%d: %s", name, at.Line, at.Column, bad.GetMessage())
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := p.resolve(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// unmarshalDuration names the text that is wrong: the decoder adds no line to errors of types that read themselves.
func unmarshalDuration(d *subscription.Duration, raw []byte) error {
	text := strings.Trim(strings.TrimSpace(string(raw)), `"'`)
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return fmt.Errorf("%q is no duration: want, for example, 30s or 1m30s", text)
	}
	return nil
}

// Get returns the profile of that name; the empty name stands for [Default].
func (s Set) Get(name string) (*Profile, bool) {
	if name == "" {
		name = Default
	}
	p, ok := s.byName[name]
	return p, ok
}

// Names lists the profiles' names, sorted.
func (s Set) Names() []string { return slices.Sorted(maps.Keys(s.byName)) }
