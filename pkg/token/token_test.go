package token

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

const tokenURL = "https://auth.example.com/token?tenant=hush"

// server is a token endpoint in memory: it answers with a new token each time, unless it is told otherwise.
type server struct {
	mu     sync.Mutex
	asked  []url.Values
	header []http.Header
	answer func(n int, req *http.Request) (status int, body string, err error)
}

// RoundTrip implements http.RoundTripper.
func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.asked, s.header = append(s.asked, form), append(s.header, req.Header)
	n := len(s.asked)
	s.mu.Unlock()
	status, body := 200, fmt.Sprintf(`{"access_token":"t%d","token_type":"bearer","expires_in":600}`, n)
	if s.answer != nil {
		if status, body, err = s.answer(n, req); err != nil {
			return nil, err
		}
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body)), Request: req,
		Header: http.Header{"Content-Type": {"application/json"}, "Location": {"https://elsewhere.example.com/"}},
	}, nil
}

func (s *server) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func subscriptionWith(o subscription.OAuth) *subscription.Subscription {
	if o.GrantType == "" {
		o.GrantType = subscription.GrantClientCredentials
	}
	if o.AuthMethod == "" {
		o.AuthMethod, o.ClientSecret = subscription.AuthClientSecretBasic, "hush"
	}
	o.ClientID, o.TokenURL = "me", tokenURL
	return &subscription.Subscription{ID: ident.Derive("test"), OAuth: &o, Version: 1}
}

func authorize(t *testing.T, s *Source, refused string) string {
	t.Helper()
	got, err := s.Authorize(t.Context(), refused)
	require.NoError(t, err)
	return got
}

func TestWhatIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		oauth subscription.OAuth
		form  url.Values
		basic bool
	}{
		"basic": {
			subscription.OAuth{Scopes: []string{"a", "b"}, ExtraParams: map[string]string{"audience": "x", "scope": "c"}},
			url.Values{"grant_type": {"client_credentials"}, "scope": {"a b"}, "audience": {"x"}},
			true,
		},
		"post": {
			subscription.OAuth{AuthMethod: subscription.AuthClientSecretPost, ClientSecret: "hush"},
			url.Values{"grant_type": {"client_credentials"}, "client_id": {"me"}, "client_secret": {"hush"}},
			false,
		},
		"refresh": {
			subscription.OAuth{GrantType: subscription.GrantRefreshToken, RefreshToken: "r0", ExtraParams: map[string]string{"refresh_token": "x"}},
			url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r0"}},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &server{}
			c.oauth.ExtraHeaders = map[string]string{"X-Tenant": "1", "Content-Type": "evil", "Authorization": "evil"}
			if !c.basic {
				delete(c.oauth.ExtraHeaders, "Authorization")
			}
			require.Equal(t, "Bearer t1", authorize(t, New(srv).Source(subscriptionWith(c.oauth)), ""))
			require.Equal(t, c.form, srv.asked[0])
			user, pass, basic := (&http.Request{Header: srv.header[0]}).BasicAuth()
			require.Equal(t, c.basic, basic)
			if basic {
				require.Equal(t, "me hush", user+" "+pass)
			}
			require.Equal(t, "1", srv.header[0].Get("X-Tenant"))
			require.Equal(t, "application/x-www-form-urlencoded", srv.header[0].Get("Content-Type"))
		})
	}
}

func TestAssertion(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	pkcs1 := x509.MarshalPKCS1PrivateKey(key)
	seen := map[string]bool{}
	for name, form := range map[string][]byte{
		"PKCS #8": pkcs8, "PKCS #1": pkcs1, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	} {
		srv := &server{}
		sub := subscriptionWith(subscription.OAuth{AuthMethod: subscription.AuthClientSecretJWT, JWT: &subscription.OAuthJWT{
			Key: base64.StdEncoding.EncodeToString(form), Algorithm: "RS256", KeyID: "k1", ExpirySeconds: 60,
		}})
		authorize(t, New(srv).Source(sub), "")
		require.Equal(t, assertionType, srv.asked[0].Get("client_assertion_type"), name)
		require.Empty(t, srv.asked[0].Get("client_secret"))
		claims := jwt.RegisteredClaims{}
		parsed, err := jwt.ParseWithClaims(srv.asked[0].Get("client_assertion"), &claims,
			func(*jwt.Token) (any, error) { return key.Public(), nil },
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("me"), jwt.WithSubject("me"), jwt.WithAudience(tokenURL))
		require.NoError(t, err, name)
		require.Equal(t, "k1", parsed.Header["kid"])
		require.Equal(t, time.Minute, claims.ExpiresAt.Sub(claims.IssuedAt.Time))
		require.False(t, seen[claims.ID], "an assertion is used once")
		seen[claims.ID] = true
	}
	for _, bad := range []string{"", "hush", base64.StdEncoding.EncodeToString([]byte("hush"))} {
		_, err := parseKey(bad)
		require.ErrorContains(t, err, "want an RSA private key")
	}
}

// One asks, however many wait; the token is used until shortly before it expires, then renewed while it still is good.
func TestTokensAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{answer: func(n int, _ *http.Request) (int, string, error) {
			time.Sleep(time.Second)
			return 200, fmt.Sprintf(`{"access_token":"t%d","expires_in":600}`, n), nil
		}}
		store, sub := New(srv), subscriptionWith(subscription.OAuth{})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				got, err := store.Source(sub).Authorize(t.Context(), "")
				if err != nil || got != "Bearer t1" {
					t.Error(got, err)
				}
			})
		}
		all.Wait()
		require.Equal(t, 1, srv.times())
		time.Sleep(530 * time.Second)
		require.Equal(t, "Bearer t1", authorize(t, store.Source(sub), ""))
		require.Equal(t, 1, srv.times())
		time.Sleep(15 * time.Second) // less than a minute is left
		require.Equal(t, "Bearer t2", authorize(t, store.Source(sub), ""))

		next := *sub
		next.Version = 2
		require.Equal(t, "Bearer t3", authorize(t, store.Source(&next), ""), "another version has other credentials")
	})
}

// A refused token is replaced once; an endpoint that refuses every token does not have the token endpoint asked each time.
func TestRefusedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{}
		src := New(srv).Source(subscriptionWith(subscription.OAuth{}))
		require.Equal(t, "Bearer t1", authorize(t, src, ""))
		require.Equal(t, "Bearer t2", authorize(t, src, "Bearer t1"))
		require.Equal(t, "Bearer t2", authorize(t, src, "Bearer t1"), "another attempt that had the old one")
		require.Equal(t, "Bearer t2", authorize(t, src, "Bearer t2"), "too soon")
		require.Equal(t, 2, srv.times())
		time.Sleep(replaceEvery)
		require.Equal(t, "Bearer t3", authorize(t, src, "Bearer t2"))
	})
}

// While the token is good, a token endpoint that fails is nobody's problem; afterwards it is, and not asked by everyone.
func TestFailuresAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{}
		src := New(srv).Source(subscriptionWith(subscription.OAuth{}))
		authorize(t, src, "")
		srv.answer = func(int, *http.Request) (int, string, error) { return 503, "hush", nil }
		time.Sleep(550 * time.Second)
		require.Equal(t, "Bearer t1", authorize(t, src, ""))
		require.Equal(t, 2, srv.times())
		time.Sleep(60 * time.Second)
		for range 3 {
			_, err := src.Authorize(t.Context(), "")
			require.EqualError(t, err, "token endpoint: status 503")
		}
		require.Equal(t, 3, srv.times())
		time.Sleep(holdFailure)
		srv.answer = nil
		require.Equal(t, "Bearer t4", authorize(t, src, ""))
	})
}

// A rotated refresh token is the one that is used next.
func TestRefreshTokensRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{answer: func(n int, _ *http.Request) (int, string, error) {
			return 200, fmt.Sprintf(`{"access_token":"t%d","refresh_token":"r%d","expires_in":60}`, n, n), nil
		}}
		src := New(srv).Source(subscriptionWith(subscription.OAuth{GrantType: subscription.GrantRefreshToken, RefreshToken: "r0"}))
		for n := range 3 {
			authorize(t, src, "")
			require.Equal(t, fmt.Sprint("r", n), srv.asked[n].Get("refresh_token"))
			time.Sleep(time.Minute)
		}
	})
}

// A worker that still has the last version of a subscription does not take the newer one's tokens away, whose refresh token was used.
func TestOlderVersionsAreNotKept(t *testing.T) {
	store := New(&server{})
	older := subscriptionWith(subscription.OAuth{GrantType: subscription.GrantRefreshToken, RefreshToken: "r0"})
	newer := *older
	older.Version, newer.Version = 1, 2
	before := store.Source(older)
	kept := store.Source(&newer)
	require.NotSame(t, before, kept)
	require.NotSame(t, kept, store.Source(older))
	require.Same(t, kept, store.Source(&newer))
}

func TestWhatGoesWrong(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"refused":      {401, `{"error":"invalid_client","error_description":"hush"}`, "token endpoint: status 401, invalid_client"},
		"odd code":     {400, `{"error":"Hush 1"}`, "token endpoint: status 400"},
		"no JSON":      {200, `hush`, "token endpoint: the answer holds no access token"},
		"no token":     {200, `{}`, "token endpoint: the answer holds no access token"},
		"redirect":     {302, ``, "token endpoint: status 302"},
		"other type":   {200, `{"access_token":"hush","token_type":"mac"}`, "token endpoint: the token is of another type than Bearer"},
		"line breaks":  {200, `{"access_token":"hush\r\nEvil: 1"}`, "token endpoint: the access token holds more than visible ASCII"},
		"long token":   {200, `{"access_token":"` + strings.Repeat("h", maxToken+1) + `"}`, "an access token of"},
		"endless":      {200, `{"access_token":"` + strings.Repeat("h", maxAnswer), "token endpoint: the answer "},
		"error in 200": {200, `{"error":"invalid_scope"}`, "token endpoint: status 200, invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &server{answer: func(int, *http.Request) (int, string, error) { return c.status, c.body, nil }}
			_, err := New(srv).Source(subscriptionWith(subscription.OAuth{})).Authorize(t.Context(), "")
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, strings.ToLower(err.Error()), "hush")
			require.Equal(t, 1, srv.times())
		})
	}
}

// A token endpoint that hangs leaves half of the attempt's time, and the end of an attempt is not the others' failure.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{answer: func(_ int, req *http.Request) (int, string, error) {
			<-req.Context().Done()
			return 0, "", context.Cause(req.Context())
		}}
		src := New(srv).Source(subscriptionWith(subscription.OAuth{}))
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		started := time.Now()
		_, err := src.Authorize(ctx, "")
		require.EqualError(t, err, "token endpoint: no answer in time")
		require.Equal(t, 2*time.Second, time.Since(started))
		time.Sleep(holdFailure)
		ended, end := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, end)
		_, err = src.Authorize(ended, "")
		require.ErrorIs(t, err, context.Canceled)
		srv.answer = nil
		require.Equal(t, "Bearer t3", authorize(t, src, ""))
	})
}

func TestTheStoreIsBounded(t *testing.T) {
	store := New(&server{})
	for n := range maxTokens + 10 {
		sub := subscriptionWith(subscription.OAuth{})
		sub.ID = ident.Derive("test", fmt.Sprint(n))
		store.Source(sub)
	}
	require.Len(t, store.m, maxTokens)
}
