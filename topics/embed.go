// Package topics declares every topic of Postrider: one YAML file each, numbered in the order of the flow, and the JSON
// Schemas of what outsiders read. `postrider topics plan` and `apply` make a cluster agree with them.
package topics

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"
)

//go:generate go test -run ^(TestSchemasKeepTheirPromises|TestReadmeTellsOfEveryMember)$ -update .

//go:embed *.yaml
var files embed.FS

// Schemas holds the JSON Schemas (2020-12) under schemas/.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Names of the topics, without the prefix of the installation.
const (
	Events         = "events"
	Rejected       = "rejected"
	Routed         = "routed"
	Registry       = "registry"
	Deliveries     = "deliveries"
	DeadLetters    = "deadletters"
	Outcomes       = "outcomes"
	EndpointStates = "endpoint-states"
	Statuses       = "statuses"
	Operational    = "operational"
	Audit          = "audit"
	Tasks          = "tasks"
)

// MaxMessageBytes is the record limit of every topic: the event limit of 1 MiB, and 128 KiB for the headers that Postrider
// adds.
const MaxMessageBytes = 1<<20 + 128<<10

// Cleanup is what Kafka does with old records.
type Cleanup string

// Cleanup policies.
const (
	Delete  Cleanup = "delete"  // those older than the retention go
	Compact Cleanup = "compact" // the last one of every key stays
)

// Topic is the declaration of a topic.
type Topic struct {
	// Name is without the prefix of the installation.
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	// Key and Value say what they hold, in words.
	Key   string `yaml:"key"`
	Value string `yaml:"value"`
	// Schema is the file in [Schemas] that describes the value, if outsiders read it.
	Schema     string     `yaml:"schema"`
	Partitions Partitions `yaml:"partitions"`
	// Keyed topics have state that depends on where a key lands: their partition count never changes in place.
	Keyed   bool    `yaml:"keyed"`
	Cleanup Cleanup `yaml:"cleanup"`
	// Retention is how long records stay, for Delete.
	Retention time.Duration `yaml:"retention"`
	// MinCompactionLag is how long every record stays at least, for Compact; DeleteRetention is how long a deletion stays.
	// Zero leaves them to the cluster.
	MinCompactionLag time.Duration `yaml:"min_compaction_lag"`
	DeleteRetention  time.Duration `yaml:"delete_retention"`
	// Producers and Consumers are roles, or people: api, cli, router, deliverer, retrier, recorder, upstream, analysts, sre.
	Producers []string `yaml:"producers"`
	Consumers []string `yaml:"consumers"`
}

// Partitions is a number of partitions, or the name of the topic that has the same.
type Partitions struct {
	Count int
	Like  string
}

// UnmarshalYAML reads a number or a name.
func (p *Partitions) UnmarshalYAML(unmarshal func(any) error) error {
	if err := unmarshal(&p.Count); err == nil {
		return nil
	}
	return unmarshal(&p.Like)
}

// All returns the declarations in the order of the flow. The files are part of the program; a broken one panics.
func All() []Topic {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		panic(err)
	}
	all := make([]Topic, 0, len(entries))
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		var t Topic
		if err := yaml.UnmarshalWithOptions(text, &t, yaml.Strict()); err != nil {
			panic(fmt.Sprintf("topics: %s: %v", e.Name(), err))
		}
		all = append(all, t)
	}
	return all
}

// Retry returns the name of the topic of a retry tier, by how long records wait in it: retry.30s, retry.2m, retry.24h.
func Retry(tier time.Duration) string {
	n, unit := tier/time.Second, "s"
	switch {
	case tier%time.Hour == 0:
		n, unit = tier/time.Hour, "h"
	case tier%time.Minute == 0:
		n, unit = tier/time.Minute, "m"
	}
	return "retry." + strconv.FormatInt(int64(n), 10) + unit
}

// Configs returns what the topic asks of Kafka, by Kafka's own names. The number of replicas and min.insync.replicas depend
// on the cluster and are not in it.
func (t Topic) Configs() map[string]string {
	c := map[string]string{
		"cleanup.policy":    string(t.Cleanup),
		"max.message.bytes": strconv.Itoa(MaxMessageBytes),
	}
	for name, d := range map[string]time.Duration{
		"retention.ms": t.Retention, "min.compaction.lag.ms": t.MinCompactionLag, "delete.retention.ms": t.DeleteRetention,
	} {
		if d > 0 {
			c[name] = strconv.FormatInt(d.Milliseconds(), 10)
		}
	}
	return c
}
