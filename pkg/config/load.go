package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// setFlag is the flag that sets any key: --set deliverer.workers=64.
const setFlag = "set"

// flagKeys are the keys that have a flag of their own, named like the key with dashes: --kafka-brokers.
var flagKeys = []string{ //nolint:gochecknoglobals // a table
	"kafka.brokers", "kafka.prefix", "redis.addresses", "http.listen", "log.level", "log.format",
}

// AddFlags registers the flags that [Load] reads: one for each of the keys most often set, and --set for all others.
func AddFlags(flags *pflag.FlagSet) {
	for _, k := range flagKeys {
		flags.String(flagName(k), "", "sets "+k+" ("+envPrefix+strings.ToUpper(strings.ReplaceAll(k, ".", "_"))+")")
	}
	flags.StringArray(setFlag, nil, "sets any configuration key, repeatable: --set deliverer.workers=64")
}

func flagName(path string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(path) }

// Load returns the configuration: the defaults, the YAML file at path (none if empty), the POSTRIDER_ variables of environ
// (as os.Environ returns them) and the flags that were given, each over the one before. flags may be nil, and may hold
// flags of other purposes. Everything that is wrong is in the error, one line each.
func Load(path string, flags *pflag.FlagSet, environ []string) (*Config, error) {
	keys := configKeys()
	k := koanf.New(".")
	var errs []error
	if path != "" {
		errs = append(errs, loadFile(k, path))
	}
	errs = append(errs, loadEnviron(k, keys, environ), loadFlags(k, keys, flags))
	c := Default()
	root := reflect.ValueOf(&c).Elem()
	for _, key := range keys {
		raw := k.Get(key.path)
		if raw == nil {
			continue
		}
		if err := set(root.FieldByIndex(key.index), raw); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key.path, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("checking configuration: %w", err)
	}
	return &c, nil
}

// yamlParser lets koanf read YAML through the same library as the profiles.
type yamlParser struct{}

func (yamlParser) Unmarshal(text []byte) (map[string]any, error) {
	var m map[string]any
	err := yaml.Unmarshal(text, &m)
	return m, err
}

func (yamlParser) Marshal(m map[string]any) ([]byte, error) { return yaml.Marshal(m) }

func loadFile(k *koanf.Koanf, path string) error {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	if err := k.Load(rawbytes.Provider(text), yamlParser{}); err != nil {
		// The error itself is several lines, with the text around it.
		if bad, ok := errors.AsType[yaml.Error](err); ok && bad.GetToken() != nil {
			at := bad.GetToken().Position
			return fmt.Errorf("%s:%d:%d: %s", path, at.Line, at.Column, bad.GetMessage())
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	return checkFile(path, text, k.Raw())
}

// serviceLink matches the variables that Kubernetes sets for a service named postrider or postrider-…: no settings.
var serviceLink = regexp.MustCompile(`_SERVICE_(HOST|PORT)(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?$`)

func loadEnviron(k *koanf.Koanf, keys []key, environ []string) error {
	byName := make(map[string]string, len(keys))
	sections := make(map[string]bool)
	names := make([]string, 0, len(keys))
	for _, key := range keys {
		byName[key.env()] = key.path
		names = append(names, key.env())
		section, _, _ := strings.Cut(key.path, ".")
		sections[strings.ToUpper(section)] = true
	}
	var errs []error
	provider := env.Provider(".", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			path, ok := byName[name]
			section, _, _ := strings.Cut(strings.TrimPrefix(name, envPrefix), "_")
			if !ok && sections[section] && !serviceLink.MatchString(name) {
				errs = append(errs, fmt.Errorf("environment variable %s: no such setting%s", name, meant(name, names)))
			}
			return path, value
		},
	})
	errs = append(errs, k.Load(provider, nil))
	return errors.Join(errs...)
}

func loadFlags(k *koanf.Koanf, keys []key, flags *pflag.FlagSet) error {
	if flags == nil {
		return nil
	}
	byName := make(map[string]string, len(flagKeys))
	for _, path := range flagKeys {
		byName[flagName(path)] = path
	}
	provider := posflag.ProviderWithFlag(flags, ".", nil, func(f *pflag.Flag) (string, any) {
		return byName[f.Name], posflag.FlagVal(flags, f)
	})
	if err := k.Load(provider, nil); err != nil {
		return err
	}
	if flags.Lookup(setFlag) == nil {
		return nil
	}
	settings, err := flags.GetStringArray(setFlag)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range settings {
		path, value, ok := strings.Cut(s, "=")
		if _, known := findKey(keys, path); !ok || !known {
			errs = append(errs, fmt.Errorf("--set %s: want key=value with a key of the configuration%s", path,
				meant(path, paths(keys))))
			continue
		}
		errs = append(errs, k.Set(path, value))
	}
	return errors.Join(errs...)
}
