package profile_test

import (
	"crypto/tls"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
)

func load(t testing.TB) profile.Set {
	t.Helper()
	set, err := profile.Load(configs.Profiles)
	require.NoError(t, err)
	return set
}

func get(t testing.TB, name string) *profile.Profile {
	t.Helper()
	p, ok := load(t).Get(name)
	require.True(t, ok, name)
	return p
}

func TestShippedProfiles(t *testing.T) {
	set := load(t)
	require.Equal(t, []string{
		"cloudevents", "cloudevents-binary", "dixa", "dixa-classic", "flexengage", "standard", "svix", "voice-platform", "voyado",
	}, set.Names())
	fallback, ok := set.Get("")
	require.True(t, ok)
	require.Equal(t, profile.Default, fallback.Name)
	_, ok = set.Get("smtp")
	require.False(t, ok)
	for _, name := range set.Names() {
		secret, err := get(t, name).Scheme().NewSecret()
		require.NoError(t, err)
		require.NoError(t, get(t, name).Scheme().ValidateSecret(secret))
	}
}

// minimal is a profile that loads.
const minimal = `name: x
envelope: raw
signature: standard
success: ["200-299"]
timeout: 15s
retry: {kind: fixed, interval: 1m, maxTries: 4}
`

func TestProfilesThatDoNotLoad(t *testing.T) {
	replace := func(old, with string) string {
		require.Contains(t, minimal, old)
		return strings.Replace(minimal, old, with, 1)
	}
	_, err := profile.Load(fstest.MapFS{"deep/x.yaml": {Data: []byte(minimal)}, "README.md": {Data: []byte("no")}})
	require.NoError(t, err)
	for _, tc := range []struct{ file, want string }{
		{minimal + "colour: red\n", `x.yaml:7:1: unknown field "colour"`},
		{minimal + "name: x\n", `x.yaml:7:1: mapping key "name" already defined`},
		{replace("maxTries", "maxtries"), `x.yaml:6:36: unknown field "maxtries"`},
		{replace("15s", "15"), `"15" is no duration`},
		{replace("15s", "\"15 parsecs\""), `"15 parsecs" is no duration`},
		{replace("timeout: 15s\n", ""), "timeout: 0s, want 1s to 1m0s"},
		{replace("15s", "1h"), "timeout: 1h0m0s, want 1s to 1m0s"},
		{replace("raw", "soap"), `envelope: "soap", want one of [cloudevents cloudevents-binary dixa flexengage raw standard voyado]`},
		{replace("signature: standard", "signature: pgp"), `signature: "pgp", want one of [dixa standard svix] or template`},
		{replace("signature: standard", "signature: template"), "template: missing, want the header"},
		{minimal + "template: {headers: {X: \"${secret}\"}}\n", `template: want none with signature "standard"`},
		{replace("signature: standard", "signature: template\ntemplate: {headers: {X: y}}"), "template: headers: none holds"},
		{replace("signature: standard", "signature: template\ntemplate: {headers: {Host: \"${secret}\"}}"), "template: headers: Host is not"},
		{replace("signature: standard", "signature: template\ntemplate: {headers: {\"X Y\": \"${secret}\"}}"), "no header name"},
		{replace("signature: standard", "signature: template\ntemplate: {headers: {X: \"${secret} \"}}"), "starts or ends with a space"},
		{replace("signature: standard", "signature: template\ntemplate: {header: {}}"), `unknown field "header"`},
		{replace(`["200-299"]`, "[]"), "success: missing"},
		{replace(`["200-299"]`, `["299-200"]`), "no range of statuses"},
		{replace(`["200-299"]`, `["100-200"]`), "no range of statuses"},
		{replace(`["200-299"]`, `[2xx]`), "no range of statuses"},
		{replace("4}", "400}"), "retry: maxTries: 400"},
		{minimal + "failure: {kind: often}\n", `failure: kind: "often", want never, consecutive, rate or lasting`},
		{minimal + "failure: {kind: consecutive, failures: 101, within: 1h}\n", "failure: failures: 101, want 1 to 100"},
		{replace("name: x", "name: y"), `name: "y", want "x"`},
		{minimal + "notRetried: [bored]\n", `notRetried[0]: "bored"`},
		{minimal + "notRetried: [success]\n", `notRetried[0]: "success"`},
		{minimal + "notRetried: [transformation]\n", `notRetried[0]: "transformation"`},
		{minimal + "throttle: [4]\n", "throttle[0]: 4"},
		{minimal + "headers: {webhook-id: x}\n", "webhook-id is not the profile's to set"},
		{minimal + "headers: {Content-Length: x}\n", "Content-Length is not the profile's to set"},
		{minimal + "headers: {X-A: \"${tenant}\"}\n", "unknown variable"},
		{minimal + "headers: {\"X A\": b}\n", "no header name"},
		{minimal + "userAgent: \"a\\nb\"\n", "userAgent"},
		{minimal + "minTLS: \"1.4\"\n", `minTLS: "1.4" is no version of TLS: want "1.0", "1.1", "1.2" or "1.3"`},
		{minimal + "minTLS: 1.0\n", `minTLS: "1" is no version of TLS: want "1.0"`},
		{minimal + "minTLS: SSLv3\n", "is no version of TLS"},
		{"", ""},
		{"- a\n", ""},
		{"\t", ""},
	} {
		_, err := profile.Load(fstest.MapFS{"x.yaml": {Data: []byte(tc.file)}})
		require.Error(t, err, tc.file)
		require.ErrorContains(t, err, "loading profiles: x.yaml:", tc.file)
		require.ErrorContains(t, err, tc.want, tc.file)
	}
	_, err = profile.Load(fstest.MapFS{"a/x.yaml": {Data: []byte(minimal)}, "b/x.yaml": {Data: []byte(minimal)}})
	require.ErrorContains(t, err, `there are two profiles "x"`)
}

func TestMinTLS(t *testing.T) {
	for text, want := range map[string]profile.TLSVersion{
		"": 0, "minTLS: \"1.0\"": tls.VersionTLS10, "minTLS: '1.1'": tls.VersionTLS11,
		"minTLS: 1.2": tls.VersionTLS12, "minTLS: \"1.3\"": tls.VersionTLS13,
	} {
		set, err := profile.Load(fstest.MapFS{"x.yaml": {Data: []byte(minimal + text)}})
		require.NoError(t, err, text)
		p, ok := set.Get("x")
		require.True(t, ok)
		require.Equal(t, want, p.MinTLS, text)
	}
	dixa, err := fs.ReadFile(configs.Profiles, "profiles/dixa.yaml")
	require.NoError(t, err)
	own, err := profile.Load(fstest.MapFS{"dixa.yaml": {Data: append(dixa, "minTLS: \"1.0\"\n"...)}})
	require.NoError(t, err)
	p, ok := load(t).With(own).WithUserAgent("Acme/1").Get("dixa")
	require.True(t, ok)
	require.EqualValues(t, tls.VersionTLS10, p.MinTLS, "as configs/profiles/README.md says")
	for _, name := range load(t).Names() {
		require.Zero(t, get(t, name).MinTLS, "%s: no shipped profile goes below 1.2", name)
	}
}

func TestJudge(t *testing.T) {
	type judgement = profile.Judgement
	success := judgement{Result: outcome.ResultSuccess, Success: true}
	final := func(r outcome.Result) judgement { return judgement{Result: r} }
	again := func(r outcome.Result) judgement { return judgement{Result: r, Retryable: true} }
	slower := func(j judgement) judgement { j.Throttle = true; return j }
	gone := judgement{Result: outcome.ResultGone, Disable: true}
	for _, tc := range []struct {
		result outcome.Result
		status int
		want   map[string]judgement
	}{
		{outcome.ResultSuccess, 204, map[string]judgement{"standard": success, "svix": success, "dixa": success, "dixa-classic": success}},
		{outcome.ResultRedirect, 302, map[string]judgement{
			"standard": again(outcome.ResultRedirect), "svix": again(outcome.ResultRedirect),
			"dixa": final(outcome.ResultRedirect), "dixa-classic": success,
		}},
		{outcome.ResultClientError, 404, map[string]judgement{
			"standard": again(outcome.ResultClientError), "svix": again(outcome.ResultClientError),
			"dixa": final(outcome.ResultClientError), "dixa-classic": again(outcome.ResultClientError),
		}},
		{outcome.ResultGone, 410, map[string]judgement{
			"standard": gone, "svix": gone, "dixa": final(outcome.ResultGone), "dixa-classic": again(outcome.ResultGone),
		}},
		{outcome.ResultThrottled, 429, map[string]judgement{
			"standard": slower(again(outcome.ResultThrottled)), "svix": slower(again(outcome.ResultThrottled)),
			"dixa": slower(final(outcome.ResultThrottled)), "dixa-classic": slower(again(outcome.ResultThrottled)),
		}},
		{outcome.ResultServerError, 500, map[string]judgement{
			"standard": again(outcome.ResultServerError), "svix": again(outcome.ResultServerError),
			"dixa": again(outcome.ResultServerError), "dixa-classic": again(outcome.ResultServerError),
		}},
		{outcome.ResultServerError, 502, map[string]judgement{"standard": slower(again(outcome.ResultServerError))}},
		{outcome.ResultServerError, 504, map[string]judgement{"dixa": slower(again(outcome.ResultServerError))}},
		// The status line came, the rest did not: no success, and no throttling by a status.
		{outcome.ResultReset, 200, map[string]judgement{"standard": again(outcome.ResultReset), "dixa-classic": again(outcome.ResultReset)}},
		{outcome.ResultTimeout, 429, map[string]judgement{"standard": again(outcome.ResultTimeout)}},
		{outcome.ResultDNS, 0, map[string]judgement{"standard": again(outcome.ResultDNS), "dixa": again(outcome.ResultDNS)}},
		{outcome.ResultBlocked, 0, map[string]judgement{"standard": again(outcome.ResultBlocked)}},
		{outcome.ResultRequest, 0, map[string]judgement{
			"standard": final(outcome.ResultRequest), "svix": final(outcome.ResultRequest),
			"dixa": final(outcome.ResultRequest), "dixa-classic": final(outcome.ResultRequest),
		}},
	} {
		for name, want := range tc.want {
			require.Equal(t, want, get(t, name).Judge(tc.result, tc.status), "%s %s %d", name, tc.result, tc.status)
		}
	}
}

func TestASuccessThatTheProfileDoesNotAccept(t *testing.T) {
	set, err := profile.Load(fstest.MapFS{"x.yaml": {Data: []byte(strings.Replace(minimal, "200-299", "200", 1))}})
	require.NoError(t, err)
	p, _ := set.Get("x")
	require.True(t, p.Judge(outcome.ResultSuccess, 200).Success)
	require.Equal(t, profile.Judgement{Result: outcome.ResultServerError, Retryable: true}, p.Judge(outcome.ResultSuccess, 202))
}

func TestSubscriptionsOwnSettingsWin(t *testing.T) {
	p := get(t, "dixa")
	sub := &subscription.Subscription{}
	require.Equal(t, 15*time.Second, p.TimeoutFor(sub))
	require.Equal(t, p.Retry, p.RetryFor(sub))
	sub.Timeout = subscription.Duration(3 * time.Second)
	sub.Retry = &subscription.RetryPolicy{Kind: subscription.RetryFixed, Interval: sub.Timeout, MaxTries: 2}
	require.Equal(t, 3*time.Second, p.TimeoutFor(sub))
	require.Equal(t, *sub.Retry, p.RetryFor(sub))
	require.Equal(t, subscription.EffectSuspendRetries, p.FailureFor(sub).Effect)
	sub.Failure = &subscription.FailurePolicy{Kind: subscription.FailureNever}
	require.Same(t, sub.Failure, p.FailureFor(sub))
}

func TestUserAgent(t *testing.T) {
	own := strings.Replace(minimal, "name: x", "name: own\nuserAgent: Own/2", 1)
	set, err := profile.Load(fstest.MapFS{"x.yaml": {Data: []byte(minimal)}, "own.yaml": {Data: []byte(own)}})
	require.NoError(t, err)
	sent := func(set profile.Set, name string) string {
		p, ok := set.Get(name)
		require.True(t, ok)
		secret, err := p.Scheme().NewSecret()
		require.NoError(t, err)
		sender, err := p.Sender(&subscription.Subscription{Secrets: []string{secret}}, time.Unix(0, 0))
		require.NoError(t, err)
		for _, h := range sender.AppendHeaders(nil, &profile.Message{Delivery: &delivery.Delivery{}}, time.Unix(0, 0), nil) {
			if h.Name == "User-Agent" {
				return h.Value
			}
		}
		return ""
	}
	acme := set.WithUserAgent("Acme/1")
	require.Equal(t, "Acme/1", sent(acme, "x"))
	require.Equal(t, "Own/2", sent(acme, "own"))
	require.Equal(t, profile.DefaultUserAgent, sent(set, "x"), "a set is read-only")
}
