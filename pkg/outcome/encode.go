package outcome

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

// AppendJSON appends what [encoding/json.Marshal] makes of o, byte for byte, in a quarter of the time: there is one for every
// attempt. What that refuses, and no stage makes, is written as a zero: times outside the years 0 to 9999 and numbers that
// are none.
func (o *Outcome) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"version":`...)
	dst = strconv.AppendInt(dst, int64(o.Version), 10)
	dst = appendText(append(dst, `,"delivery":`...), o.Delivery)
	dst = appendText(append(dst, `,"message":`...), o.Message)
	dst = appendText(append(dst, `,"event_id":`...), o.EventID)
	dst = appendText(append(dst, `,"event_type":`...), o.EventType)
	dst = appendTime(append(dst, `,"event_time":`...), o.EventTime)
	if len(o.Channels) > 0 {
		dst = appendTexts(append(dst, `,"channels":`...), o.Channels)
	}
	dst = appendID(append(dst, `,"tenant":`...), o.Tenant)
	dst = appendID(append(dst, `,"subscription":`...), o.Subscription)
	dst = appendSome(dst, `,"profile":`, o.Profile)
	dst = appendText(append(dst, `,"trigger":`...), o.Trigger)
	dst = appendSome(dst, `,"trigger_id":`, o.TriggerID)
	dst = strconv.AppendInt(append(dst, `,"attempt":`...), int64(o.Attempt), 10)
	dst = strconv.AppendInt(append(dst, `,"pass":`...), int64(o.Pass), 10)
	dst = appendText(append(dst, `,"verdict":`...), o.Verdict)
	dst = appendText(append(dst, `,"reason":`...), o.Reason)
	dst = appendText(append(dst, `,"result":`...), o.Result)
	if o.Status != 0 {
		dst = strconv.AppendInt(append(dst, `,"status":`...), int64(o.Status), 10)
	}
	dst = appendSome(dst, `,"detail":`, o.Detail)
	dst = appendSome(dst, `,"url":`, o.URL)
	dst = o.appendTimes(dst)
	dst = o.appendResponse(dst)
	dst = appendPosition(append(dst, `,"source":`...), o.Source)
	dst = appendPosition(append(dst, `,"record":`...), o.Record)
	dst = strconv.AppendInt(append(dst, `,"registry_version":`...), o.Registry, 10)
	dst = strconv.AppendInt(append(dst, `,"generation":`...), o.Generation, 10)
	dst = appendSome(dst, `,"body_sha256":`, o.BodySHA256)
	return append(dst, '}')
}

func (o *Outcome) appendTimes(dst []byte) []byte {
	dst = appendTime(append(dst, `,"at":`...), o.At)
	dst = appendNumber(append(dst, `,"duration_ms":`...), o.DurationMS)
	dst = appendNumber(append(dst, `,"queue_ms":`...), o.QueueMS)
	dst = appendSomeNumber(dst, `,"dns_ms":`, o.DNSMS)
	dst = appendSomeNumber(dst, `,"connect_ms":`, o.ConnectMS)
	dst = appendSomeNumber(dst, `,"tls_ms":`, o.TLSMS)
	dst = appendSomeNumber(dst, `,"first_byte_ms":`, o.FirstByteMS)
	if o.Due != nil {
		dst = appendTime(append(dst, `,"due":`...), *o.Due)
	}
	if o.First != nil {
		dst = appendTime(append(dst, `,"first":`...), *o.First)
	}
	return dst
}

func (o *Outcome) appendResponse(dst []byte) []byte {
	dst = appendSome(dst, `,"response_body":`, o.ResponseBody)
	if o.ResponseTruncated {
		dst = append(dst, `,"response_truncated":true`...)
	}
	if o.ResponseHeaders != "" {
		dst = o.ResponseHeaders.appendJSON(append(dst, `,"response_headers":`...))
	}
	if o.ResponseHeadersTruncated {
		dst = append(dst, `,"response_headers_truncated":true`...)
	}
	if len(o.Redacted) > 0 {
		dst = appendTexts(append(dst, `,"redacted":`...), o.Redacted)
	}
	return dst
}

func appendTexts[T ~string](dst []byte, list []T) []byte {
	for i, text := range list {
		if i == 0 {
			dst = append(dst, '[')
		} else {
			dst = append(dst, ',')
		}
		dst = appendText(dst, text)
	}
	return append(dst, ']')
}

// appendSome appends a member, unless it is empty.
func appendSome[T ~string](dst []byte, member string, text T) []byte {
	if text == "" {
		return dst
	}
	return appendText(append(dst, member...), text)
}

func appendSomeNumber(dst []byte, member string, f float64) []byte {
	if f == 0 {
		return dst
	}
	return appendNumber(append(dst, member...), f)
}

func appendID(dst []byte, id ident.ID) []byte {
	return append(id.AppendUUID(append(dst, '"')), '"')
}

func appendPosition(dst []byte, p delivery.Position) []byte {
	dst = appendText(append(dst, `{"topic":`...), p.Topic)
	dst = strconv.AppendInt(append(dst, `,"partition":`...), int64(p.Partition), 10)
	dst = strconv.AppendInt(append(dst, `,"offset":`...), p.Offset, 10)
	return append(dst, '}')
}

// appendTime appends RFC 3339, which has years of four digits and zones within a day.
func appendTime(dst []byte, t time.Time) []byte {
	const day = 24 * 60 * 60
	if _, zone := t.Zone(); t.Year() < 0 || t.Year() > 9999 || zone <= -day || zone >= day {
		t = time.Time{}
	}
	return append(t.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

// appendNumber appends the shortest text of a number. Nearly all are milliseconds with three decimals at most: those are
// written as whole numbers of microseconds, and are the shortest, since no other text of fifteen digits is the same number.
func appendNumber(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, '0')
	}
	if micros := math.Round(f * 1000); f >= 0 && micros < 1e12 && micros/1000 == f && !math.Signbit(f) {
		return appendMicros(dst, int64(micros))
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) { // as ECMAScript
		dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
		if n := len(dst); n >= 4 && dst[n-4] == 'e' && (dst[n-3] == '-' || dst[n-3] == '+') && dst[n-2] == '0' {
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
		return dst
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// appendMicros appends microseconds as milliseconds.
func appendMicros(dst []byte, micros int64) []byte {
	dst = strconv.AppendInt(dst, micros/1000, 10)
	rest := micros % 1000
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.', byte('0'+rest/100))
	if rest %= 100; rest != 0 {
		dst = append(dst, byte('0'+rest/10))
		if rest %= 10; rest != 0 {
			dst = append(dst, byte('0'+rest))
		}
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// special marks the bytes that do not stand in JSON as they are: encoding/json escapes what HTML would misread, too.
var special = func() (is [256]bool) { //nolint:gochecknoglobals // a constant
	for b := range is {
		is[b] = b < ' ' || b >= utf8.RuneSelf
	}
	for _, b := range []byte(`"\<>&`) {
		is[b] = true
	}
	return is
}()

// appendText appends a text in quotes. What is no UTF-8 is replaced.
func appendText[T ~string](dst []byte, text T) []byte {
	dst = append(dst, '"')
	for rest := string(text); ; {
		n := 0
		for n < len(rest) && !special[rest[n]] {
			n++
		}
		dst = append(dst, rest[:n]...)
		if n == len(rest) {
			return append(dst, '"')
		}
		r, size := utf8.DecodeRuneInString(rest[n:])
		switch {
		case r < utf8.RuneSelf:
			dst = appendEscaped(dst, rest[n])
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case r == '\u2028' || r == '\u2029': // ends a line of JavaScript
			dst = append(append(dst, `\u202`...), hexDigits[r&0xf])
		default:
			dst = append(dst, rest[n:n+size]...)
		}
		rest = rest[n+size:]
	}
}

func appendEscaped(dst []byte, b byte) []byte {
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&0xf])
}
