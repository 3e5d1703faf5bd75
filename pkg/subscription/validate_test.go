package subscription

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testRules stand in for what other packages know.
func testRules() Rules {
	return Rules{
		CheckURL: func(url string) error {
			if !strings.HasPrefix(url, "https://") {
				return errors.New("url: want https://host/path")
			}
			return nil
		},
		CheckSecret: func(profile, secret string) error {
			if !strings.HasPrefix(secret, profile+"-") {
				return fmt.Errorf("want %s- and digits", profile)
			}
			return nil
		},
		ReservedHeader: func(profile, name string) bool {
			return profile == "dixa" && strings.EqualFold(name, "X-DIXA-SIGNATURE")
		},
		CheckTransformation: func(code string) error {
			if code == "bad" {
				return errors.New("1:1: does not compile")
			}
			return nil
		},
		CheckEncryption: func(scheme, key string) error {
			if scheme != "good" {
				return errors.New("scheme: want good")
			}
			if key != "t0ken" {
				return errors.New("key: want t0ken")
			}
			return nil
		},
		Profiles: []string{"dixa", "standard"},
	}
}

// fields returns the fields that err complains about.
func fields(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	require.ErrorAs(t, err, &joined)
	var names []string
	for _, e := range joined.Unwrap() {
		var field *FieldError
		require.ErrorAs(t, e, &field)
		require.NotEmpty(t, field.Detail)
		names = append(names, field.Field)
	}
	return names
}

func TestValidateSubscription(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *Subscription)
		want   []string
	}{
		"good":                   {func(*Subscription) {}, nil},
		"uid":                    {func(s *Subscription) { s.UID = "a b" }, []string{"uid"}},
		"uid like an id":         {func(s *Subscription) { s.UID = "ep_1" }, []string{"uid"}},
		"long uid":               {func(s *Subscription) { s.UID = strings.Repeat("a", 257) }, []string{"uid"}},
		"long name":              {func(s *Subscription) { s.Name = strings.Repeat("a", 257) }, []string{"name"}},
		"name with escape":       {func(s *Subscription) { s.Name = "a\x1b[31m" }, []string{"name"}},
		"name in UTF-8":          {func(s *Subscription) { s.Name = "Ærø" }, nil},
		"profile":                {func(s *Subscription) { s.Profile = "nobody" }, []string{"profile", "secrets[0]"}},
		"no url":                 {func(s *Subscription) { s.URL = "" }, []string{"url"}},
		"url":                    {func(s *Subscription) { s.URL = "http://a" }, []string{"url"}},
		"types":                  {func(s *Subscription) { s.EventTypes = []string{"a", "a", "b*", ""} }, []string{"eventTypes[1]", "eventTypes[2]", "eventTypes[3]"}},
		"128 types":              {func(s *Subscription) { s.EventTypes = many(128) }, nil},
		"129 types":              {func(s *Subscription) { s.EventTypes = many(129) }, []string{"eventTypes"}},
		"short timeout":          {func(s *Subscription) { s.Timeout = Duration(time.Second - 1) }, []string{"timeout"}},
		"long timeout":           {func(s *Subscription) { s.Timeout = Duration(time.Minute + 1) }, []string{"timeout"}},
		"timeouts":               {func(s *Subscription) { s.Timeout = Duration(time.Minute) }, nil},
		"retry":                  {func(s *Subscription) { s.Retry = &RetryPolicy{Kind: "never"} }, []string{"retry.kind"}},
		"transformation":         {func(s *Subscription) { s.Transformation = &Transformation{Code: ".", Enabled: true} }, nil},
		"no code":                {func(s *Subscription) { s.Transformation = &Transformation{Variables: map[string]string{"a": "b"}} }, nil},
		"no code to run":         {func(s *Subscription) { s.Transformation = &Transformation{Enabled: true} }, []string{"transformation.code"}},
		"bad code, switched off": {func(s *Subscription) { s.Transformation = &Transformation{Code: "bad"} }, []string{"transformation.code"}},
		"long code":              {func(s *Subscription) { s.Transformation = &Transformation{Code: strings.Repeat(" ", MaxCode+1)} }, []string{"transformation.code"}},
		"variables": {func(s *Subscription) {
			s.Transformation = &Transformation{Variables: map[string]string{"": "", "a": strings.Repeat("a", MaxVariable+1), "b": "\x00", "c": "\n"}}
		}, []string{"transformation.variables", "transformation.variables.a", "transformation.variables.b"}},
		"51 variables": {func(s *Subscription) {
			s.Transformation = &Transformation{Variables: map[string]string{}}
			for i := range MaxVariables + 1 {
				s.Transformation.Variables[fmt.Sprint(i)] = ""
			}
		}, []string{"transformation.variables"}},
		"encryption":        {func(s *Subscription) { s.Encryption = &Encryption{Scheme: "good", Key: "t0ken"} }, nil},
		"encryption scheme": {func(s *Subscription) { s.Encryption = &Encryption{Key: "t0ken"} }, []string{"encryption.scheme"}},
		"encryption key":    {func(s *Subscription) { s.Encryption = &Encryption{Scheme: "good"} }, []string{"encryption.key"}},
		"12 secrets":        {func(s *Subscription) { s.Secrets = make([]string, 12) }, []string{"secrets"}},
		"secret":            {func(s *Subscription) { s.Secrets = []string{"dixa-1", "x"} }, []string{"secrets[1]"}},
		"headers": {func(s *Subscription) {
			s.Headers = map[string]string{
				"Authorization": "Basic abc", "X A": "1", "": "2", "Ü": "3", "host": "4", "X-Amz-Date": "5", "Webhook-Id": "6",
				"x-dixa-signature": "7", "X-Nl": "a\r\nb", "X-Long": strings.Repeat("a", 4097), "X-Ok": strings.Repeat("a", 4096),
				"x-ok": "8", "X-Tab": "a\tb", "X-Nul": "\x00", "X-Utf": "ü",
			}
		}, []string{
			"headers.", "headers.Webhook-Id", "headers.X A", "headers.X-Amz-Date", "headers.X-Long", "headers.X-Nl",
			"headers.X-Nul", "headers.X-Utf", "headers.host", "headers.x-dixa-signature", "headers.x-ok", "headers.Ü",
		}},
		"51 headers": {func(s *Subscription) {
			s.Headers = map[string]string{}
			for _, n := range many(51) {
				s.Headers[n] = "x"
			}
		}, []string{"headers"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Subscription{UID: "orders", Name: "Orders", URL: "https://a.example", Secrets: []string{"dixa-1"}}
			c.change(s)
			err := ValidateSubscription(s, &Tenant{Profile: "dixa"}, testRules())
			require.Equal(t, c.want, fields(t, err))
			if err != nil {
				require.NotContains(t, err.Error(), "aaaa", "holds a header value")
			}
		})
	}
}

func many(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint("t", i)
	}
	return all
}

func TestValidateTenant(t *testing.T) {
	require.NoError(t, ValidateTenant(&Tenant{UID: "5b0c2d3e-1111-2222-3333-444455556666", Name: "n"}, testRules()))
	require.NoError(t, ValidateTenant(&Tenant{Name: "n"}, Rules{}))
	require.Equal(t, []string{"uid", "name", "profile"},
		fields(t, ValidateTenant(&Tenant{UID: "app_x", Profile: "x"}, testRules())))
}

func TestProfileOf(t *testing.T) {
	require.Equal(t, "standard", ProfileOf(&Subscription{}, nil))
	require.Equal(t, "dixa", ProfileOf(&Subscription{}, &Tenant{Profile: "dixa"}))
	require.Equal(t, "svix", ProfileOf(&Subscription{Profile: "svix"}, &Tenant{Profile: "dixa"}))
}

func TestValidatePattern(t *testing.T) {
	for pattern, good := range map[string]bool{
		"CONVERSATION_CREATED": true, "contact.acceptsEmail.changed": true, "*": true, "**": true, "contact.*": true,
		"*.created": true, "contact.**": true, "*.*.**": true, "a-b_c.d": true, "a..b": true,
		"": false, "CONVERSATION_*": false, "**.a": false, "a.**.b": false, "***": false, "a b": false, "a.ü": false,
		strings.Repeat("a", 256): true, strings.Repeat("a", 257): false,
	} {
		require.Equal(t, good, ValidatePattern(pattern) == nil, pattern)
	}
}

func FuzzValidateSubscription(f *testing.F) {
	f.Add("uid", "name", "https://a", "a.*", "X-Name", "value", "dixa-1")
	f.Add("", "\xff", "", "**", "\r", "\n", "")
	f.Fuzz(func(t *testing.T, uid, name, url, pattern, header, value, secret string) {
		s := &Subscription{
			UID: uid, Name: name, URL: url, EventTypes: []string{pattern}, Headers: map[string]string{header: value},
			Secrets: []string{secret},
		}
		if ValidateSubscription(s, nil, testRules()) == nil && strings.ContainsAny(header+value+pattern+uid, "\r\n\x00") {
			t.Fatal("what splits a header was let through")
		}
	})
}
