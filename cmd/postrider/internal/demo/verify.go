package demo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/tidwall/gjson"
)

// verifier checks the signature of a request as a subscriber would, with nothing of Postrider's own. It returns what
// names the event in the request: the message id, or the event's own id where the form has no message id.
type verifier func(header http.Header, body []byte) (ref string, err error)

// newVerifier returns the verifier of a profile's signature.
func newVerifier(profile, secret string) (verifier, error) {
	switch profile {
	case "standard", "flexengage":
		return newStandardVerifier(secret, "webhook-")
	case "svix", "voyado", "voice-platform":
		return newStandardVerifier(secret, "svix-")
	case "dixa":
		key, err := hex.DecodeString(secret)
		if err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		return func(header http.Header, body []byte) (string, error) {
			return gjson.GetBytes(body, "event_id").String(), verifyDixa(key, header.Get("X-Dixa-Signature"), body, time.Now())
		}, nil
	}
	return nil, fmt.Errorf("profile %q: want standard, flexengage, svix, voyado, voice-platform or dixa, which the demo's receiver can verify", profile)
}

// newStandardVerifier has the library of Standard Webhooks verify. Svix's headers are the same under another prefix, which its
// own library takes for the same, too.
func newStandardVerifier(secret, prefix string) (verifier, error) {
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	return func(header http.Header, body []byte) (string, error) {
		renamed := http.Header{}
		for _, name := range []string{"id", "timestamp", "signature"} {
			renamed.Set("webhook-"+name, header.Get(prefix+name))
		}
		return header.Get(prefix + "id"), w.Verify(body, renamed)
	}, nil
}

// payload is where the bodies of a profile have the event's data.
func payload(profile string, body []byte) []byte {
	switch profile {
	case "svix", "voice-platform":
		return body
	case "voyado":
		return []byte(gjson.GetBytes(body, "payload").Raw)
	}
	return []byte(gjson.GetBytes(body, "data").Raw)
}

// Errors of [verifyDixa].
var (
	errSignature = errors.New("signature does not match")
	errForm      = errors.New("want t=<milliseconds>,v1=<hex>")
	errTooOld    = errors.New("signature is not of this time")
)

// tolerance is how far a signature's time may be off, as the libraries of Standard Webhooks have it.
const tolerance = 5 * time.Minute

// verifyDixa checks X-DIXA-SIGNATURE: t=<Unix milliseconds>,v1=<hex of HMAC-SHA256 over "t.body">. There is no official
// library; this is written from the product's description alone.
func verifyDixa(key []byte, header string, body []byte, now time.Time) error {
	stamp, signature, ok := strings.Cut(header, ",v1=")
	t, isTime := strings.CutPrefix(stamp, "t=")
	if !ok || !isTime {
		return errForm
	}
	millis, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return errForm
	}
	got, err := hex.DecodeString(signature)
	if err != nil {
		return errForm
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	if !hmac.Equal(got, mac.Sum(nil)) {
		return errSignature
	}
	if now.Sub(time.UnixMilli(millis)).Abs() > tolerance {
		return errTooOld
	}
	return nil
}
