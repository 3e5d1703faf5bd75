package wire

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/postrider/postrider/pkg/sign"
)

// Origin is what a URL becomes in the head of a request. It is read-only.
type Origin struct {
	// URL is the URL as it was parsed; it must not be changed.
	URL *url.URL
	// Path is the request's target, with the query; Host is what it says of the host.
	Path, Host string
	// head is " /path?query HTTP/1.1\r\nHost: host\r\n".
	head string
}

// errURL does not repeat what may hold credentials.
var errURL = errors.New("url: not valid, want an absolute URL")

// NewOrigin returns the origin of an absolute URL. Escaping, IDN hosts, IPv6 zones and empty ports are a matter of taste,
// and the taste is net/http's: it writes a request once, of which the first two lines are kept. Its errors hold nothing of
// the URL.
func NewOrigin(raw string) (*Origin, error) {
	req, err := http.NewRequest(http.MethodPost, raw, http.NoBody) //nolint:noctx // it is written to memory alone
	if err != nil {
		return nil, errURL
	}
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		return nil, errURL
	}
	line, rest, _ := strings.Cut(b.String(), "\r\n")
	host, _, _ := strings.Cut(rest, "\r\n")
	line, ok := strings.CutPrefix(line, http.MethodPost)
	path, whole := strings.CutSuffix(line, " HTTP/1.1")
	if !ok || !whole || !strings.HasPrefix(host, "Host: ") { // should net/http ever change its order
		return nil, errURL
	}
	return &Origin{
		URL: req.URL, Path: path[1:], Host: strings.TrimPrefix(host, "Host: "), head: line + "\r\n" + host + "\r\n",
	}, nil
}

// userAgent is net/http's, for who gives none.
const userAgent = "Go-http-client/1.1"

// framing are the fields that are not for others to set. net/http leaves them out in silence, by this spelling alone; other
// spellings are refused, as a second Content-Length or a Transfer-Encoding would change what the body is.
func framing(name string) bool {
	switch len(name) {
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Trailer"):
		return strings.EqualFold(name, "Trailer")
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// CheckFields says what is wrong with the fields of a request: nil, or an error without any value. It also refuses what
// would change how the connection goes on.
func CheckFields(fields []sign.Header) error {
	for _, f := range fields {
		switch {
		case !httpguts.ValidHeaderFieldName(f.Name):
			return fmt.Errorf("headers: %q is no header name", f.Name)
		case framing(f.Name), hop(f.Name):
			return fmt.Errorf("headers: %s is reserved", f.Name)
		case !httpguts.ValidHeaderFieldValue(f.Value):
			return fmt.Errorf("headers: the value of %s holds a control character", f.Name)
		}
	}
	return nil
}

// ValidMethod reports whether a method is one (RFC 9110, section 9.1).
func ValidMethod(method string) bool { return httpguts.ValidHeaderFieldName(method) }

// hop are the fields of a connection (RFC 9110, section 7.6.1) and Expect, whose answer nobody would wait for.
func hop(name string) bool {
	switch len(name) {
	case len("TE"):
		return strings.EqualFold(name, "TE")
	case len("Expect"):
		return strings.EqualFold(name, "Expect")
	case len("Upgrade"):
		return strings.EqualFold(name, "Upgrade")
	case len("Connection"):
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case len("Proxy-Connection"):
		return strings.EqualFold(name, "Proxy-Connection")
	}
	return false
}

// AppendHead appends the head of a request with a body of length bytes to b, byte for byte as net/http writes it: names as
// they are given, in order, which fields is brought into. The fields must have passed [CheckFields].
func AppendHead(b []byte, method string, at *Origin, fields []sign.Header, length int) []byte {
	Sort(fields)
	b = append(b, method...)
	b = append(b, at.head...)
	agent := userAgent
	if i := slices.IndexFunc(fields, func(f sign.Header) bool { return f.Name == "User-Agent" }); i >= 0 {
		agent = trim(fields[i].Value)
	}
	if agent != "" {
		b = appendField(b, "User-Agent", agent)
	}
	if length > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(length), 10)
		b = append(b, "\r\n"...)
	}
	for _, f := range fields {
		if f.Name != "User-Agent" {
			b = appendField(b, f.Name, trim(f.Value))
		}
	}
	return append(b, "\r\n"...)
}

// Sort brings fields into the order in which they are sent: that of their names.
func Sort(fields []sign.Header) {
	slices.SortStableFunc(fields, func(a, b sign.Header) int { return strings.Compare(a.Name, b.Name) })
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// trim takes off what is not part of a value (RFC 9110, section 5.5).
func trim(value string) string { return strings.Trim(value, " \t") }
