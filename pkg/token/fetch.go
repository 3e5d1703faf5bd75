package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/postrider/postrider/pkg/subscription"
)

const (
	// maxAnswer is how much of a token endpoint's answer is read.
	maxAnswer = 64 << 10
	// maxToken is the longest access token: servers commonly take 8 KiB of header.
	maxToken = 7 << 10
	// maxCode bounds an error code of RFC 6749, section 5.2, in a text.
	maxCode = 64
)

var (
	errSlow   = errors.New("no answer in time")
	errAnswer = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
)

// fetch asks the token endpoint once.
func (s *Source) fetch(ctx context.Context, refreshToken string) (got grant, refreshed string, err error) {
	conf, err := s.config(refreshToken)
	if err != nil {
		return grant{}, "", fmt.Errorf("token endpoint: %w", err)
	}
	client := &http.Client{
		Transport:     &limited{next: s.transport, header: s.oauth.ExtraHeaders},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	asked := time.Now()
	tok, err := conf.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return grant{}, "", fmt.Errorf("token endpoint: %w", explain(ctx, err))
	}
	if err := checkToken(tok); err != nil {
		return grant{}, "", fmt.Errorf("token endpoint: %w", err)
	}
	life := maxLife
	if !tok.Expiry.IsZero() {
		life = min(life, tok.Expiry.Sub(asked))
	}
	return grant{
		header: "Bearer " + tok.AccessToken, expires: asked.Add(life), refresh: asked.Add(life - min(aheadMost, life/10)),
	}, tok.RefreshToken, nil
}

// config is what the library asks with. Its client-credentials flow lets other parameters, and even the grant type, take
// their place, so it serves both grants and both kinds of proof.
func (s *Source) config(refreshToken string) (*clientcredentials.Config, error) {
	o := s.oauth
	conf := &clientcredentials.Config{
		ClientID: o.ClientID, TokenURL: o.TokenURL, Scopes: o.Scopes, EndpointParams: url.Values{},
		AuthStyle: oauth2.AuthStyleInParams,
	}
	for name, value := range o.ExtraParams {
		if name != "scope" || len(o.Scopes) == 0 {
			conf.EndpointParams.Set(name, value)
		}
	}
	if o.GrantType == subscription.GrantRefreshToken {
		conf.EndpointParams.Set("grant_type", "refresh_token")
		conf.EndpointParams.Set("refresh_token", refreshToken)
	}
	switch o.AuthMethod {
	case subscription.AuthClientSecretBasic:
		conf.ClientSecret, conf.AuthStyle = o.ClientSecret, oauth2.AuthStyleInHeader
	case subscription.AuthClientSecretPost:
		conf.ClientSecret = o.ClientSecret
	case subscription.AuthClientSecretJWT:
		signed, err := assertion(o, time.Now())
		if err != nil {
			return nil, err
		}
		conf.EndpointParams.Set("client_assertion_type", assertionType)
		conf.EndpointParams.Set("client_assertion", signed)
	default:
		return nil, fmt.Errorf("authMethod: %q is not known", o.AuthMethod)
	}
	return conf, nil
}

// explain says what went wrong without the words of the library and the server, which hold the URL and what it likes.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		if code := refusal.ErrorCode; code != "" && len(code) <= maxCode && strings.Trim(code, codeBytes) == "" {
			return fmt.Errorf("status %d, %s", refusal.Response.StatusCode, code)
		}
		return fmt.Errorf("status %d", refusal.Response.StatusCode)
	}
	if failed, ok := errors.AsType[*url.Error](err); ok { // its text holds the URL
		return failed.Err
	}
	if errors.Is(err, errAnswer) {
		return errAnswer
	}
	return errors.New("the answer holds no access token")
}

// codeBytes are those of the error codes that there are (RFC 6749 and its registry). A server that puts anything else
// there may have put a secret there.
const codeBytes = "abcdefghijklmnopqrstuvwxyz_"

// checkToken wants a bearer token (RFC 6750) that is one header value.
func checkToken(tok *oauth2.Token) error {
	switch {
	case tok.Type() != "Bearer":
		return errors.New("the token is of another type than Bearer")
	case len(tok.AccessToken) > maxToken:
		return fmt.Errorf("an access token of %d bytes: want at most %d", len(tok.AccessToken), maxToken)
	case strings.ContainsFunc(tok.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the access token holds more than visible ASCII")
	case !tok.Expiry.IsZero() && !tok.Expiry.After(time.Now()):
		return errors.New("the access token has expired already")
	}
	return nil
}

// limited adds the subscription's headers to a request and bounds its answer.
type limited struct {
	next   http.RoundTripper
	header map[string]string
}

// RoundTrip implements http.RoundTripper.
func (l *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for _, name := range slices.Sorted(maps.Keys(l.header)) {
		if req.Header.Get(name) == "" { // what the flow itself says stands
			req.Header.Set(name, l.header[name])
		}
	}
	req.Header.Set("Accept", "application/json")
	res, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Body = &bounded{body: res.Body, left: maxAnswer}
	return res, nil
}

// bounded fails where an answer is longer than it may be: what is cut off is no token, but could look like one.
type bounded struct {
	body io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.body.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, errAnswer
	}
	return n, err
}

// Close implements io.Closer.
func (b *bounded) Close() error { return b.body.Close() }
