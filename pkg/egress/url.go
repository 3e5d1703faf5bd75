package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxURL is the longest URL of an endpoint, in bytes. Servers commonly take 8 KiB for the request line.
const MaxURL = 2048

// MaxHost is the longest host name, in bytes (RFC 1035, section 2.3.4, without the final dot).
const MaxHost = 253

// internalSuffixes are names that never belong to a public endpoint: special use (RFC 6761, RFC 6762, RFC 8375, ICANN's
// .internal) and what cloud and cluster resolvers answer for themselves.
var internalSuffixes = []string{ //nolint:gochecknoglobals // a table
	"localhost", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa", "localdomain", "test", "invalid",
	"example", "onion", "arpa", "cluster.local",
}

// CheckURL says what is wrong with the URL of an endpoint and what is allowed, without a look at DNS. It never repeats
// the URL, which may hold credentials.
func (g *Guard) CheckURL(raw string) error {
	if len(raw) > MaxURL {
		return fmt.Errorf("url: %d bytes, want at most %d", len(raw), MaxURL)
	}
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c > '~' || c == '\\' {
			return fmt.Errorf("url: byte 0x%02x at %d, want visible ASCII without spaces and backslashes", c, i)
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("url: not a URL, want https://host/path")
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !g.allowHTTP):
		return fmt.Errorf("url: scheme %q, want %s", u.Scheme, g.schemes())
	case u.Opaque != "" || u.Host == "":
		return fmt.Errorf("url: no host, want %s://host/path", u.Scheme)
	case u.User != nil:
		return errors.New("url: holds a user, want credentials in a header")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return errors.New("url: holds a fragment, want none")
	}
	if err := g.checkURLPort(u); err != nil {
		return err
	}
	return g.checkHost(u.Hostname(), strings.HasPrefix(u.Host, "["))
}

func (g *Guard) schemes() string {
	if g.allowHTTP {
		return "https or http"
	}
	return "https"
}

func (g *Guard) checkURLPort(u *url.URL) error {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return errors.New("url: an empty port, want a number or none")
		}
		text = "443"
		if u.Scheme == "http" {
			text = "80"
		}
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || strings.HasPrefix(text, "0") {
		return fmt.Errorf("url: port %q, want 1 to 65535", text)
	}
	if err := g.CheckPort(uint16(port)); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	return nil
}

// checkHost allows a literal address that the guard allows, or a DNS name that cannot be taken for an address by
// anyone: resolvers read 0x7f.1, 017700000001 and 2130706433 as addresses.
func (g *Guard) checkHost(host string, bracketed bool) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Is6() != bracketed {
			return errors.New("url: host: want an IPv6 address in brackets, and nothing else in them")
		}
		if err := g.CheckAddr(addr); err != nil {
			return fmt.Errorf("url: host: %w", err)
		}
		return nil
	}
	if bracketed {
		return errors.New("url: host: no IPv6 address in the brackets")
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if len(name) > MaxHost {
		return fmt.Errorf("url: host: %d bytes, want at most %d", len(name), MaxHost)
	}
	labels := strings.Split(name, ".")
	if i := slices.IndexFunc(labels, badLabel); i >= 0 {
		return fmt.Errorf("url: host: label %q, want 1 to 63 letters, digits, hyphens and underscores", labels[i])
	}
	if last := labels[len(labels)-1]; numeric(last) {
		return fmt.Errorf("url: host: ends in the number %q, want a name or four decimal numbers", last)
	}
	if !g.allowInternalNames && (len(labels) == 1 || internal(name)) {
		return fmt.Errorf("url: host: %q is an internal name, want a public one", name)
	}
	return nil
}

// badLabel reports whether l is no label of a host name (RFC 1123, section 2.1, and underscores, which exist).
func badLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return true
	}
	for i := range len(l) {
		c := l[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return true
		}
	}
	return false
}

// numeric reports whether inet_aton reads the last label as a number: decimal, octal or hexadecimal. The WHATWG URL
// standard refuses such hosts by the same rule ("ends in a number").
func numeric(label string) bool {
	if rest, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func internal(name string) bool {
	return slices.ContainsFunc(internalSuffixes, func(suffix string) bool {
		return name == suffix || strings.HasSuffix(name, "."+suffix)
	})
}
