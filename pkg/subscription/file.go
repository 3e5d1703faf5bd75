package subscription

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"

	"github.com/postrider/postrider/pkg/ident"
)

// File is the content of a subscriptions file:
//
//	tenants:
//	  - uid: acme                  # the tenant's name in events; or id, or both
//	    name: Acme
//	    profile: dixa              # of its subscriptions, "standard" if left out
//	    eventTypes: [contact.*]    # those activated for the tenant, all if left out
//	    throttleRate: 100          # attempts per second, no limit if left out
//	    metadata: {plan: gold}
//	    subscriptions:
//	      - uid: orders            # or id, or both
//	        name: Orders to the ERP
//	        url: https://erp.acme.example/events
//	        eventTypes: [contact.*, CONVERSATION_CREATED]   # all if left out
//	        channels: [vip]        # only events that share one; all if left out
//	        filter: data.amount > 100   # a CEL expression, see package filter
//	        profile: svix
//	        secret: ${ACME_SECRET} # or secrets, newest first; generated and kept if left out
//	        headers: {X-Key: "${ACME_KEY}"}
//	        sensitiveHeaders: [X-Key]                       # can be written, not read
//	        authorization: {token: "${ACME_TOKEN}"}         # or username and password
//	        transformation: .payload |= {id, total}         # a program in jq, see package transform
//	        encryption: {scheme: jwe, key: "${ACME_JWE}"}   # or voyado, see package encrypt
//	        throttleRate: 10
//	        timeout: 10s
//	        retry: {kind: fixed, interval: 1m, maxTries: 4}
//	        failure: {kind: consecutive, failures: 100}
//	        disabled: false
//
// Besides, a subscription may have a description and metadata. A transformation may be a section, of code, variables and
// disabled. ${NAME} in secrets, headers, authorization, the encryption's key and the transformation's variables is replaced
// by the environment variable of that name.
type File struct {
	Tenants []FileTenant
}

// FileTenant is a tenant of a file with its subscriptions.
type FileTenant struct {
	// Tenant has the zero ID if the file gives none: then it is that of the existing tenant of the same uid or, for a
	// new one, [DerivedTenantID].
	Tenant *Tenant
	// Subscriptions likewise have the zero ID, see [DerivedID], and always the zero Tenant; no Secrets if the file gives
	// none.
	Subscriptions []*Subscription
}

// FileRules are the rules for files.
type FileRules struct {
	Rules
	// LookupEnv is os.LookupEnv or a stand-in. Nil knows no variables.
	LookupEnv func(name string) (string, bool)
}

// DerivedTenantID returns the id of a tenant that a file names by uid only: the same every time, so that applying a file
// twice makes one tenant.
func DerivedTenantID(uid string) ident.ID { return ident.Derive("postrider/tenant", uid) }

// DerivedID returns the id of a tenant's subscription that a file names by uid only.
func DerivedID(tenant ident.ID, uid string) ident.ID {
	return ident.Derive("postrider/subscription", tenant.UUID(), uid)
}

type fileRoot struct {
	Tenants []fileTenant `yaml:"tenants"`
}

type fileTenant struct {
	ID            string             `yaml:"id"`
	UID           string             `yaml:"uid"`
	Name          string             `yaml:"name"`
	Metadata      map[string]string  `yaml:"metadata"`
	Profile       string             `yaml:"profile"`
	EventTypes    []string           `yaml:"eventTypes"`
	ThrottleRate  int                `yaml:"throttleRate"`
	Subscriptions []fileSubscription `yaml:"subscriptions"`
}

type fileSubscription struct {
	ID               string            `yaml:"id"`
	UID              string            `yaml:"uid"`
	Name             string            `yaml:"name"`
	Description      string            `yaml:"description"`
	Metadata         map[string]string `yaml:"metadata"`
	URL              string            `yaml:"url"`
	EventTypes       []string          `yaml:"eventTypes"`
	Channels         []string          `yaml:"channels"`
	Filter           string            `yaml:"filter"`
	Profile          string            `yaml:"profile"`
	Secret           string            `yaml:"secret"`
	Secrets          []string          `yaml:"secrets"`
	Headers          map[string]string `yaml:"headers"`
	SensitiveHeaders []string          `yaml:"sensitiveHeaders"`
	Authorization    *Authorization    `yaml:"authorization"`
	Transformation   *fileTransform    `yaml:"transformation"`
	Encryption       *Encryption       `yaml:"encryption"`
	ThrottleRate     int               `yaml:"throttleRate"`
	Timeout          Duration          `yaml:"timeout"`
	Retry            *RetryPolicy      `yaml:"retry"`
	Failure          *FailurePolicy    `yaml:"failure"`
	RedactResponses  bool              `yaml:"redactResponses"`
	Disabled         bool              `yaml:"disabled"`
}

// fileTransform is a transformation in a file. One that is a text is its code.
type fileTransform struct {
	Code      string            `yaml:"code" short:"true"`
	Variables map[string]string `yaml:"variables"`
	Disabled  bool              `yaml:"disabled"`
}

// ParseFile reads and validates a subscriptions file. name is what errors call it. The error joins a [*FileError] for
// everything that is wrong, in the order of the file.
func ParseFile(name string, text []byte, rules FileRules) (*File, error) {
	var root fileRoot
	r := readYAML(name, text, &root, maxNodes)
	p := fileParser{yamlReader: r, rules: rules, seen: map[string]string{}}
	f := &File{}
	for i := range root.Tenants {
		f.Tenants = append(f.Tenants, p.tenant(&root.Tenants[i], fmt.Sprintf("tenants[%d]", i)))
	}
	if len(r.errs) == 0 && len(f.Tenants) == 0 {
		r.failField("tenants", "missing: want a list of tenants")
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return f, nil
}

type fileParser struct {
	*yamlReader
	rules FileRules
	// seen are the paths of ids and uids.
	seen map[string]string
}

func (p *fileParser) tenant(in *fileTenant, path string) FileTenant {
	t := &Tenant{
		ID:           p.identity(path, TenantPrefix, in.ID, in.UID, ""),
		UID:          in.UID,
		Name:         in.Name,
		Metadata:     in.Metadata,
		Profile:      in.Profile,
		EventTypes:   in.EventTypes,
		ThrottleRate: in.ThrottleRate,
	}
	if t.Name == "" {
		t.Name = cmp.Or(t.UID, in.ID, "unnamed") // without uid and id there is an error already
	}
	p.report(path, ValidateTenant(t, p.rules.Rules))
	out := FileTenant{Tenant: t}
	for i := range in.Subscriptions {
		out.Subscriptions = append(out.Subscriptions,
			p.subscription(&in.Subscriptions[i], t, path, fmt.Sprintf("%s.subscriptions[%d]", path, i)))
	}
	return out
}

func (p *fileParser) subscription(in *fileSubscription, t *Tenant, tenantPath, path string) *Subscription {
	s := &Subscription{
		ID:               p.identity(path, SubscriptionPrefix, in.ID, in.UID, tenantPath),
		UID:              in.UID,
		Name:             in.Name,
		Description:      in.Description,
		Metadata:         in.Metadata,
		URL:              in.URL,
		EventTypes:       in.EventTypes,
		Channels:         in.Channels,
		Filter:           in.Filter,
		Disabled:         in.Disabled,
		Profile:          in.Profile,
		Headers:          in.Headers,
		SensitiveHeaders: in.SensitiveHeaders,
		Authorization:    in.Authorization,
		Encryption:       in.Encryption,
		ThrottleRate:     in.ThrottleRate,
		Timeout:          in.Timeout,
		Retry:            in.Retry,
		Failure:          in.Failure,
		RedactResponses:  in.RedactResponses,
	}
	for name, value := range s.Headers {
		s.Headers[name] = p.expand(path+".headers."+name, value)
	}
	if a := s.Authorization; a != nil {
		a.Username = p.expand(path+".authorization.username", a.Username)
		a.Password = p.expand(path+".authorization.password", a.Password)
		a.Token = p.expand(path+".authorization.token", a.Token)
	}
	if e := s.Encryption; e != nil {
		e.Key = p.expand(path+".encryption.key", e.Key)
	}
	if t := in.Transformation; t != nil {
		for name, value := range t.Variables {
			t.Variables[name] = p.expand(path+".transformation.variables."+name, value)
		}
		s.Transformation = &Transformation{Code: t.Code, Enabled: !t.Disabled, Variables: t.Variables}
	}
	s.Secrets = p.secrets(in, path)
	p.report(path, ValidateSubscription(s, t, p.rules.Rules))
	return s
}

// identity reads the id and makes sure that nothing else has the id or, within scope, the uid.
func (p *fileParser) identity(path, prefix, written, uid, scope string) (id ident.ID) {
	if written == "" && uid == "" {
		p.failField(path+".uid", "missing: want uid or id")
	}
	if uid != "" {
		p.unique("uid/"+scope+"/"+uid, path+".uid", uid)
	}
	if written == "" {
		return id
	}
	id, err := ident.ParseUUID(written)
	if err != nil {
		id, err = ident.ParseBase62(prefix, written)
	}
	if err != nil || id.IsZero() {
		p.failField(path+".id", "%q: want a UUID, or %s and %d base62 digits", written, prefix, ident.Width)
		return id
	}
	p.unique("id/"+prefix+id.UUID(), path+".id", written)
	return id
}

func (p *fileParser) unique(key, path, value string) {
	if other, twice := p.seen[key]; twice {
		p.failField(path, "%q: is that of %s, line %d, already", value, other, p.at[other].Line)
		return
	}
	p.seen[key] = path
}

func (p *fileParser) secrets(in *fileSubscription, path string) []string {
	if in.Secret != "" && len(in.Secrets) > 0 {
		p.failField(path+".secret", "is there, and so is secrets: want one of them")
	}
	if in.Secret != "" {
		return []string{p.expand(path+".secret", in.Secret)}
	}
	for i, secret := range in.Secrets {
		in.Secrets[i] = p.expand(fmt.Sprintf("%s.secrets[%d]", path, i), secret)
	}
	return in.Secrets
}

var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand replaces ${NAME} by the environment variable, which must be set and not empty.
func (p *fileParser) expand(path, value string) string {
	return variable.ReplaceAllStringFunc(value, func(ref string) string {
		name := ref[2 : len(ref)-1]
		if p.rules.LookupEnv != nil {
			if v, _ := p.rules.LookupEnv(name); v != "" {
				return v
			}
		}
		p.failField(path, "environment variable %q is not set", name)
		return ref
	})
}

// report places the field errors of one object in the file.
func (p *fileParser) report(path string, err error) {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return
	}
	for _, e := range joined.Unwrap() {
		if field, ok := errors.AsType[*FieldError](e); ok {
			p.place(path, field)
		}
	}
}

// place reports one field error, unless the same field was already said to be wrong: an unset variable leaves a secret
// that is malformed, too.
func (p *fileParser) place(path string, e *FieldError) {
	field := join(path, e.Field)
	if e.Field == "secrets[0]" && p.at[field] == nil {
		field = path + ".secret"
	}
	for _, known := range p.errs {
		if known.Field == field {
			return
		}
	}
	p.failField(field, "%s", e.Detail)
}
