package wire_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/wire"
)

// byNetHTTP is the head that net/http writes, or why it does not.
func byNetHTTP(method, url string, fields []sign.Header, body []byte) (string, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body)) //nolint:noctx // it is not sent
	if err != nil {
		return "", err
	}
	req.Header = http.Header{}
	for _, f := range fields {
		req.Header[f.Name] = append(req.Header[f.Name], f.Value)
	}
	var b bytes.Buffer
	if err := req.Write(&b); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), body)), nil
}

// byWire is the head that this package writes, or why it does not.
func byWire(method, url string, fields []sign.Header, body []byte) (string, error) {
	at, err := wire.NewOrigin(url)
	if err != nil {
		return "", err
	}
	if err := wire.CheckFields(fields); err != nil {
		return "", err
	}
	return string(wire.AppendHead(nil, method, at, fields, len(body))), nil
}

var urls = []string{
	"https://example.com", "https://example.com/", "https://example.com/a/b?c=d&e", "https://example.com?x", "https://example.com/?",
	"https://example.com:8443/x", "https://example.com:/x", "https://EXAMPLE.com./x", "http://example.com:80/a%20b?x=%2F",
	"https://example.com/a b", "https://example.com/ü?ü=ü", "https://example.com/%c3%bc", "https://bücher.example/x",
	"https://xn--bcher-kva.example/x", "https://[2001:db8::1]/x", "https://[2001:db8::1]:8443/x", "https://[fe80::1%25eth0]/x",
	"https://[2001:db8::1]:/x", "https://127.0.0.1:1/", "https://user:secret@example.com/x", "https://example.com/x#fragment",
	"https://example.com//double//slash", "https://example.com/a/../b", "https://example.com/;p=1/x!$&'()*+,;=:@",
	"https://example.com/a%2Fb", "https://example.com/%zz", "https://example.com/\"<>^`{|}", "https://example.com/?q=\"<>^`{|} ",
	"https://exa mple.com/", "https://example.com:port/", "https://example.com/\x00", "https://example.com/\r\nX: y", "https:///x",
	"https:opaque", "//example.com/x", "/x", "", "::", "https://example.com/?a=b?c#d?e", "https://*/x", "https://a_b.example.com/x",
	"https://example.com\\@evil.example/x", "https://ex\u212Aample.com/x", "https://example.com/x?\u00e9",
}

var fieldSets = [][]sign.Header{
	nil,
	{{Name: "User-Agent", Value: "Postrider/1"}, {Name: "Content-Type", Value: "application/json"}},
	{{Name: "webhook-id", Value: "1"}, {Name: "X-Many", Value: "2"}, {Name: "A", Value: ""}, {Name: "X-Many", Value: "1"}, {Name: "x-many", Value: "3"}},
	{{Name: "User-Agent", Value: ""}, {Name: "user-agent", Value: "x"}},
	{{Name: "User-Agent", Value: " a\t"}, {Name: "User-Agent", Value: "b"}, {Name: "X", Value: "  in side\t "}},
	{{Name: "Accept-Encoding", Value: "gzip"}, {Name: "Date", Value: "now"}, {Name: "Cookie", Value: "a=b; ü"}},
}

// Every URL, method and set of fields gives the head that net/http gives, byte for byte, or is refused by both.
func TestHeadIsNetHTTPs(t *testing.T) {
	written := 0
	for _, url := range urls {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS", "X"} {
			for _, fields := range fieldSets {
				for _, body := range [][]byte{nil, []byte("{}")} {
					want, refused := byNetHTTP(method, url, fields, body)
					got, err := byWire(method, url, fields, body)
					require.Equal(t, refused == nil, err == nil, "%q: %v, %v", url, refused, err)
					require.Equal(t, want, got, "%q", url)
					if err == nil {
						written++
						continue
					}
					require.NotContains(t, err.Error(), "example")
				}
			}
		}
	}
	require.Greater(t, written, 1000)
}

// What would be more than a field, or would change what the body is or how the connection goes on, is refused, in any case.
func TestFieldsThatAreRefused(t *testing.T) {
	for _, f := range []sign.Header{
		{Name: "", Value: "x"},
		{Name: "a b", Value: "x"},
		{Name: "a:", Value: "x"},
		{Name: "a\r\nb", Value: "x"},
		{Name: "ü", Value: "x"},
		{Name: "a", Value: "secret\r\nb: c"},
		{Name: "a", Value: "secret\n"},
		{Name: "a", Value: "secret\x00"},
		{Name: "a", Value: "\x7fsecret"},
		{Name: "Host", Value: "x"},
		{Name: "hOST", Value: "x"},
		{Name: "content-length", Value: "0"},
		{Name: "Content-Length", Value: "0"},
		{Name: "TRANSFER-ENCODING", Value: "chunked"},
		{Name: "Trailer", Value: "x"},
		{Name: "Connection", Value: "close"},
		{Name: "keep-alive", Value: "x"},
		{Name: "te", Value: "x"},
		{Name: "Upgrade", Value: "h2c"},
		{Name: "expect", Value: "100-continue"},
		{Name: "Proxy-Connection", Value: "x"},
	} {
		err := wire.CheckFields([]sign.Header{{Name: "fine", Value: "x"}, f})
		require.ErrorContains(t, err, "headers: ", "%q", f.Name)
		require.NotContains(t, err.Error(), "secret")
	}
}

func FuzzHead(f *testing.F) {
	for i, url := range urls {
		f.Add(url, "POST", "X-A", "b", "content-type", "application/json", i)
	}
	f.Add("https://example.com", "PUT", "User-Agent", "", "user-agent", "x", 0)
	f.Fuzz(func(t *testing.T, url, method, name1, value1, name2, value2 string, length int) {
		if !wire.ValidMethod(method) || method == http.MethodConnect || length < 0 || length > 1000 {
			return
		}
		fields := []sign.Header{{Name: name1, Value: value1}, {Name: name2, Value: value2}}
		body := make([]byte, length)
		got, err := byWire(method, url, fields, body)
		if err != nil {
			return
		}
		want, err := byNetHTTP(method, url, fields, body)
		require.NoError(t, err, "net/http refuses it")
		require.Equal(t, want, got)
	})
}
