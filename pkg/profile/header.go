package profile

import (
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/postrider/postrider/pkg/sign"
)

// Limits of a subscription's own headers, checked at write.
const (
	MaxHeaders     = 50   // fields
	MaxHeaderName  = 128  // bytes
	MaxHeaderValue = 4096 // bytes, as Svix allows
)

// reserved are the names that no subscription may set under any profile: what frames a request and its connection
// (RFC 9110, section 7.6.1, and RFC 9113, section 8.2.2), what Postrider says about itself and its body, and the two
// names that make Go's transport send a request again on its own.
var reserved = []string{ //nolint:gochecknoglobals // a table
	"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
	"trailers", "transfer-encoding", "upgrade", "http2-settings", "host", "content-length", "expect",
	"content-type", "content-encoding", "user-agent", "idempotency-key", "x-idempotency-key",
}

// ReservedHeader reports whether a subscription may not set the header name, in any case: it is framing, or the
// profile sets or reserves it.
func (p *Profile) ReservedHeader(name string) bool {
	name = strings.ToLower(name)
	if slices.Contains(reserved, name) || sign.HasHeader(p.scheme, name) {
		return true
	}
	for own := range p.Headers {
		if strings.EqualFold(own, name) {
			return true
		}
	}
	return slices.ContainsFunc(p.Reserved, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(strings.ToLower(pattern), "*")
		return name == prefix || wild && strings.HasPrefix(name, prefix)
	})
}

// CheckHeaders says which of a subscription's headers is not allowed and why. Values are never part of the error:
// they may be credentials.
func (p *Profile) CheckHeaders(headers map[string]string) error {
	if len(headers) > MaxHeaders {
		return fmt.Errorf("headers: %d, want at most %d", len(headers), MaxHeaders)
	}
	seen := make(map[string]string, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if err := checkField(name, headers[name]); err != nil {
			return err
		}
		if p.ReservedHeader(name) {
			return fmt.Errorf("headers: %s is reserved", name)
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if other, twice := seen[canonical]; twice {
			return fmt.Errorf("headers: %s and %s are the same header", other, name)
		}
		seen[canonical] = name
	}
	return nil
}

// checkField allows what is unambiguous on every hop: a token as name and visible ASCII, spaces and tabs as value.
func checkField(name, value string) error {
	switch {
	case len(name) > MaxHeaderName:
		return fmt.Errorf("headers: a name of %d bytes, want at most %d", len(name), MaxHeaderName)
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("headers: %q is no header name: want letters, digits and !#$%%&'*+-.^_`|~", name)
	case len(value) > MaxHeaderValue:
		return fmt.Errorf("headers: the value of %s has %d bytes, want at most %d", name, len(value), MaxHeaderValue)
	}
	for i := range len(value) {
		if c := value[i]; (c < ' ' || c > '~') && c != '\t' {
			return fmt.Errorf("headers: the value of %s holds byte 0x%02x, want visible ASCII, spaces and tabs", name, c)
		}
	}
	return nil
}

// checkOwnHeaders checks what the profile itself sends.
func (p *Profile) checkOwnHeaders() error {
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		if err := checkField(name, p.Headers[name]); err != nil {
			return err
		}
		if slices.Contains(reserved, strings.ToLower(name)) || sign.HasHeader(p.scheme, name) {
			return fmt.Errorf("headers: %s is not the profile's to set", name)
		}
		if rest := strings.ReplaceAll(p.Headers[name], subscriptionVar, ""); strings.Contains(rest, "${") {
			return fmt.Errorf("headers: the value of %s holds an unknown variable, want %s only", name, subscriptionVar)
		}
	}
	if err := checkField("User-Agent", p.UserAgent); err != nil {
		return fmt.Errorf("userAgent: %w", err)
	}
	return nil
}
