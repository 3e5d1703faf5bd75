package app

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/topics"
)

// ACL is what a role may do with a resource of Kafka, in Kafka's own words.
type ACL struct {
	// Type is topic, group or transactionalId.
	Type string `json:"type"`
	Name string `json:"name"`
	// Prefixed lets it stand for every name that begins with Name; the name * stands for all.
	Prefixed bool `json:"prefixed,omitempty"`
	// Operations are Read, Write, Create …; to read, write and alter includes to describe.
	Operations []string `json:"operations"`
}

// Types of resources.
const (
	aclTopic         = "topic"
	aclGroup         = "group"
	aclTransactional = "transactionalId"
)

// aclRoles are the names that topics' declarations give to roles, the groups they read in and those whose commits they look up,
// by command.
var aclRoles = map[string]struct { //nolint:gochecknoglobals // a table
	declared         string
	groups, lookedUp []string
}{
	"router": {"router", []string{routerRole}, nil}, "deliver": {"deliverer", []string{delivererRole}, nil},
	"retry": {"retrier", []string{retrierRole}, nil}, "recorder": {"recorder", []string{recorderRole}, nil},
	"api": {"api", []string{"disabler", tasksRole}, pause.Roles()}, "topics": {},
}

// ACLRoles returns the names that [ACLs] knows: the roles, by their commands, and topics for `postrider topics`.
func ACLRoles() []string { return []string{"router", "deliver", "retry", "recorder", "api", "topics"} }

// ACLs returns all that a role needs of Kafka under a configuration, and nothing else. Who reads and writes Postrider's own
// topics is declared with them.
func ACLs(conf *config.Config, role string) ([]ACL, error) {
	known, ok := aclRoles[role]
	if !ok {
		return nil, fmt.Errorf("role: %q: want one of %v", role, ACLRoles())
	}
	prefix := conf.Kafka.Prefix
	if role == "topics" {
		return []ACL{{
			Type: aclTopic, Name: cmp.Or(prefix, "*"), Prefixed: prefix != "",
			Operations: []string{"Create", "Alter", "AlterConfigs"}, // which include to describe
		}}, nil
	}
	var acls []ACL
	for _, t := range topics.All() {
		var operations []string
		if slices.Contains(t.Consumers, known.declared) {
			operations = append(operations, "Read")
		}
		if slices.Contains(t.Producers, known.declared) {
			operations = append(operations, "Write")
		}
		if len(operations) > 0 {
			acls = append(acls, ACL{Type: aclTopic, Name: prefix + t.Name, Operations: operations})
		}
	}
	for _, s := range conf.Sources {
		switch role {
		case "router", "recorder":
			acls = append(acls, sourceACLs(s, "Read")...)
		case "api": // puts back what was rejected
			acls = append(acls, sourceACLs(s, "Read", "Write")...)
		}
	}
	for _, group := range known.groups {
		acls = append(acls, ACL{Type: aclGroup, Name: prefix + group, Operations: []string{"Read"}})
	}
	for _, group := range known.lookedUp {
		acls = append(acls, ACL{Type: aclGroup, Name: prefix + group, Operations: []string{"Describe"}})
	}
	if role == "api" { // for the lag of the retrier and the recorder, in what it does not read
		acls = append(acls, ACL{Type: aclTopic, Name: prefix + "retry.", Prefixed: true, Operations: []string{"Describe"}})
		acls = append(acls, ACL{Type: aclTopic, Name: prefix + topics.Statuses, Operations: []string{"Describe"}})
		acls = append(acls, ACL{Type: aclTransactional, Name: prefix + registry.WriterID, Operations: []string{"Write"}})
	}
	return acls, nil
}

// sourceACLs let the topics of a source be used: by name, or by what all names that match its pattern begin with.
func sourceACLs(s config.Source, operations ...string) []ACL {
	var acls []ACL
	for _, topic := range s.Topics {
		acls = append(acls, ACL{Type: aclTopic, Name: topic, Operations: operations})
	}
	if s.Pattern == "" {
		return acls
	}
	a := ACL{Type: aclTopic, Name: "*", Operations: operations}
	if begin, all := regexp.MustCompile(s.Pattern).LiteralPrefix(); begin != "" { // validated
		a.Name, a.Prefixed = begin, !all
	}
	return append(acls, a)
}
