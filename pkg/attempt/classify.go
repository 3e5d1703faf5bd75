package attempt

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/net/http2"

	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/h2"
	"github.com/postrider/postrider/pkg/outcome"
)

// maxDetail bounds what an error says, in bytes: enough for a certificate's complaint.
const maxDetail = 256

// byStatus classifies a complete response by RFC 9110's classes; a profile may see it otherwise.
func byStatus(status int) outcome.Result {
	switch {
	case status >= 200 && status <= 299:
		return outcome.ResultSuccess
	case status >= 300 && status <= 399:
		return outcome.ResultRedirect
	case status == http.StatusGone:
		return outcome.ResultGone
	case status == http.StatusTooManyRequests:
		return outcome.ResultThrottled
	case status >= 400 && status <= 499:
		return outcome.ResultClientError
	default:
		return outcome.ResultServerError
	}
}

// classify says what err, of an attempt whose context is still alive, means. The order is from the certain to the
// likely: a typed error says more than the phase that it came in, and the transport has errors of no type at all.
func classify(err error, at phase) (outcome.Result, string) {
	return result(err, at), detail(err)
}

func result(err error, at phase) outcome.Result {
	var (
		blocked *egress.BlockedError
		dns     *net.DNSError
		timeout net.Error
		proxy   *egress.ProxyError
	)
	switch {
	case proxyFailed(err):
		return outcome.ResultProxy
	case errors.As(err, &proxy):
		return outcome.ResultUnreachable // for the proxy, that is
	case errors.As(err, &blocked):
		return outcome.ResultBlocked
	case errors.As(err, &dns):
		return outcome.ResultDNS
	case errors.As(err, &timeout) && timeout.Timeout():
		return outcome.ResultTimeout // connecting took longer than it may
	case isTLS(err):
		return outcome.ResultTLS
	case isProtocol(err):
		return outcome.ResultProtocol
	case errors.Is(err, syscall.ECONNREFUSED):
		return outcome.ResultRefused
	case isReset(err):
		return outcome.ResultReset
	}
	switch {
	case at == phaseStart:
		return outcome.ResultRequest // refused before a connection was looked for
	case at == phaseTLS:
		return outcome.ResultTLS
	case at < phaseSent:
		return outcome.ResultUnreachable
	case at == phaseSent:
		// A connection that the endpoint closed in the moment we used it; the transport's error for that has no type.
		return outcome.ResultReset
	default:
		return outcome.ResultProtocol
	}
}

// proxyFailed reports whether err is of our own forward proxy, and says nothing of what is beyond it.
func proxyFailed(err error) bool {
	var proxy *egress.ProxyError
	return errors.As(err, &proxy) && !proxy.Beyond()
}

func isTLS(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		op          *net.OpError
	)
	switch {
	case errors.As(err, &certificate), errors.As(err, &record):
		return true
	case errors.Is(err, http.ErrSchemeMismatch): // a plain HTTP server on the https port
		return true
	}
	// Alerts have no exported type over TCP. They come as operations of their own, also after the handshake: TLS 1.3
	// servers refuse a client without certificate only then.
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// isProtocol reports whether err is HTTP/2 that is none, or that the endpoint does not want.
func isProtocol(err error) bool {
	var stream http2.StreamError
	return errors.As(err, &stream) && stream.Code == http2.ErrCodeProtocol ||
		errors.As(err, new(http2.ConnectionError)) || errors.Is(err, h2.ErrHTTP1)
}

func isReset(err error) bool {
	if errors.As(err, new(http2.StreamError)) || errors.As(err, new(h2.GoAwayError)) || errors.Is(err, h2.ErrUnprocessed) {
		return true
	}
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, net.ErrClosed)
}

// detail is the error's text, bounded and printable: parts of it may be the endpoint's words.
func detail(err error) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error())
	if len(text) <= maxDetail {
		return text
	}
	cut := maxDetail
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
