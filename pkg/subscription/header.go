package subscription

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// forbiddenHeaders are the names that no subscription may set, lower case: what Svix forbids, and besides what frames a
// request and its connection (RFC 9110, section 7.6.1).
var forbiddenHeaders = []string{ //nolint:gochecknoglobals // a table
	"age", "cache-control", "clear-site-data", "connection", "content-encoding", "content-language", "content-length",
	"content-location", "content-type", "expect", "expires", "host", "keep-alive", "pragma", "proxy-authenticate",
	"proxy-authorization", "proxy-connection", "te", "trailer", "trailers", "transfer-encoding", "upgrade", "user-agent",
	"warning",
}

// forbiddenPrefixes are prefixes of such names: of cloud providers' own headers, and of signatures.
var forbiddenPrefixes = []string{ //nolint:gochecknoglobals // a table
	"x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-", "webhook-",
}

// validateHeader allows what is unambiguous on every hop: a token (RFC 9110, section 5.6.2) as name and visible ASCII,
// spaces and tabs as value. The value may be a credential and is never part of the error.
func validateHeader(name, value string) error {
	lower := strings.ToLower(name)
	switch {
	case len(name) > MaxHeaderName:
		return fmt.Errorf("a name of %d bytes: want at most %d", len(name), MaxHeaderName)
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !tokenRune(r) }):
		return errors.New("is no header name: want letters, digits and !#$%&'*+-.^_`|~")
	case slices.Contains(forbiddenHeaders, lower):
		return errors.New("is not a subscription's to set")
	case len(value) > MaxHeaderValue:
		return fmt.Errorf("a value of %d bytes: want at most %d", len(value), MaxHeaderValue)
	}
	for _, prefix := range forbiddenPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return fmt.Errorf("is not a subscription's to set, as nothing that starts with %s", prefix)
		}
	}
	for i := range len(value) {
		if c := value[i]; (c < ' ' || c > '~') && c != '\t' {
			return fmt.Errorf("the value holds byte 0x%02x: want visible ASCII, spaces and tabs", c)
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
