package subscription

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// framingHeaders are the names that neither a subscription nor a profile may set, lower case: what frames a request and
// its connection (RFC 9110, section 7.6.1, and RFC 9113, section 8.2.2), what Postrider says about itself and its body,
// and the two names that make Go's transport send a request again on its own.
var framingHeaders = []string{ //nolint:gochecknoglobals // a table
	"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
	"trailers", "transfer-encoding", "upgrade", "http2-settings", "host", "content-length", "expect",
	"content-type", "content-encoding", "user-agent", "idempotency-key", "x-idempotency-key",
}

// forbiddenHeaders are what Svix forbids to an endpoint besides, lower case.
var forbiddenHeaders = []string{ //nolint:gochecknoglobals // a table
	"age", "cache-control", "clear-site-data", "content-language", "content-location", "expires", "pragma", "warning",
}

// forbiddenPrefixes are prefixes of such names: of cloud providers' own headers, and of signatures.
var forbiddenPrefixes = []string{ //nolint:gochecknoglobals // a table
	"x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-", "webhook-",
}

// FramingHeader reports whether a name, in any case, is one that only Postrider sets: framing, and what tells about the
// request itself.
func FramingHeader(name string) bool { return slices.Contains(framingHeaders, strings.ToLower(name)) }

// CheckField allows what is unambiguous on every hop: a token (RFC 9110, section 5.6.2) as name, and as value visible
// ASCII with spaces and tabs inside (section 5.5: around it they are not part of the value, and hops take them off). The
// value may be a credential and is never part of the error.
func CheckField(name, value string) error {
	switch {
	case len(name) > MaxHeaderName:
		return fmt.Errorf("a name of %d bytes: want at most %d", len(name), MaxHeaderName)
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !tokenRune(r) }):
		return errors.New("is no header name: want letters, digits and !#$%&'*+-.^_`|~")
	case len(value) > MaxHeaderValue:
		return fmt.Errorf("a value of %d bytes: want at most %d", len(value), MaxHeaderValue)
	case strings.Trim(value, " \t") != value:
		return errors.New("the value starts or ends with a space or tab: want none around it")
	}
	for i := range len(value) {
		if c := value[i]; (c < ' ' || c > '~') && c != '\t' {
			return fmt.Errorf("the value holds byte 0x%02x: want visible ASCII, spaces and tabs", c)
		}
	}
	return nil
}

// CheckHeader allows what [CheckField] does unless the name is not a subscription's to set under any profile.
func CheckHeader(name, value string) error {
	if err := CheckField(name, value); err != nil {
		return err
	}
	lower := strings.ToLower(name)
	if FramingHeader(name) || slices.Contains(forbiddenHeaders, lower) {
		return errors.New("is not a subscription's to set")
	}
	for _, prefix := range forbiddenPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return fmt.Errorf("is not a subscription's to set, as nothing that starts with %s", prefix)
		}
	}
	return nil
}

func tokenRune(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	}
	return r < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
