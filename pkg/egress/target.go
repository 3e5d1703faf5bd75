package egress

import (
	"fmt"
	"net"
	"net/url"

	"golang.org/x/net/idna"
)

// Target is where a connection leads: what the network has to know of an endpoint's URL.
type Target struct {
	// Secure is https.
	Secure bool
	// Address is host:port. Names are in ASCII, IPv6 addresses in brackets.
	Address string
}

// TargetOf returns the target of an http or https URL, as net/http dials it. Its errors hold nothing of the URL but the
// scheme.
func TargetOf(u *url.URL) (Target, error) {
	if u.Scheme != "https" && u.Scheme != "http" {
		return Target{}, fmt.Errorf("url: scheme %q, want http or https", u.Scheme)
	}
	host := u.Hostname()
	if host == "" {
		return Target{}, fmt.Errorf("url: no host, want %s://host/path", u.Scheme)
	}
	if ascii, err := idna.Lookup.ToASCII(host); err == nil && !isASCII(host) {
		host = ascii
	}
	return Target{Secure: u.Scheme == "https", Address: net.JoinHostPort(host, portOf(u))}, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// host is the name that the endpoint's certificate is for.
func (t Target) host() string {
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil { // TargetOf joined it
		return t.Address
	}
	return host
}
