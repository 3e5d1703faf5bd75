package outcome_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/outcome"
)

// collect appends fields written as "name:value" and returns them with what became of each.
func collect(fields ...string) (outcome.Headers, []outcome.Kept) {
	var text []byte
	kept := make([]outcome.Kept, len(fields))
	for i, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		text, kept[i] = outcome.AppendHeader(text, []byte(name), []byte(value))
	}
	return outcome.Headers(text), kept
}

func TestHeadersKeepWhatMayBeKept(t *testing.T) {
	const secret = outcome.RedactedValue
	for name, c := range map[string]struct {
		field string
		want  string // empty for none
		kept  outcome.Kept
	}{
		"as it is, in lower case":  {"Content-TYPE:Text/Plain", "content-type: Text/Plain\n", outcome.KeptWhole},
		"no value":                 {"X-Empty:", "x-empty: \n", outcome.KeptWhole},
		"a colon in the value":     {"X:a: b", "x: a: b\n", outcome.KeptWhole},
		"text of other scripts":    {"X:ü", "x: ü\n", outcome.KeptWhole},
		"no text":                  {"X:a\xffb", "x: a\ufffdb\n", outcome.KeptWhole},
		"control characters":       {"X:a\nb\x00c\td\x7f", "x: a b c\td \n", outcome.KeptWhole},
		"an identifier":            {"X-Request-Id:4711", "x-request-id: 4711\n", outcome.KeptWhole},
		"a challenge":              {"WWW-Authenticate:Bearer", "www-authenticate: Bearer\n", outcome.KeptWhole},
		"a cookie":                 {"Set-Cookie:sid=1", "set-cookie: " + secret + "\n", outcome.KeptRedacted},
		"a token":                  {"X-CSRF-Token:1", "x-csrf-token: " + secret + "\n", outcome.KeptRedacted},
		"a key":                    {"X-Api-Key:1", "x-api-key: " + secret + "\n", outcome.KeptRedacted},
		"an authorization":         {"Authorization:Basic x", "authorization: " + secret + "\n", outcome.KeptRedacted},
		"a password":               {"X-Passwd:1", "x-passwd: " + secret + "\n", outcome.KeptRedacted},
		"a session":                {"X-Session-Id:1", "x-session-id: " + secret + "\n", outcome.KeptRedacted},
		"a redirect":               {"Location:https://a.example/b", "location: https://a.example/b\n", outcome.KeptWhole},
		"a redirect with a query":  {"Location:/b?token=1", "location: /b\n", outcome.KeptRedacted},
		"one with a fragment":      {"Location:/b#token=1", "location: /b\n", outcome.KeptRedacted},
		"one with a password":      {"Location:https://u:p@a.example/", "location: " + secret + "\n", outcome.KeptRedacted},
		"of the connection":        {"Connection:close", "", outcome.KeptOut},
		"of the connection's form": {"Transfer-Encoding:chunked", "", outcome.KeptOut},
		"no name":                  {":x", "", outcome.KeptOut},
		"a name that is none":      {"a b:x", "", outcome.KeptOut},
		"a name in two lines":      {"a\nb:x", "", outcome.KeptOut},
		"too long":                 {"X:" + strings.Repeat("x", outcome.MaxHeaderBytes), "", outcome.KeptNot},
		"too long as text":         {"X:" + strings.Repeat("\xffa", outcome.MaxHeaderBytes/3), "", outcome.KeptNot},
	} {
		t.Run(name, func(t *testing.T) {
			got, kept := collect(c.field)
			require.Equal(t, c.want, string(got))
			require.Equal(t, c.kept, kept[0])
			const before = "a: b\n"
			after, kept := collect("a:b", c.field)
			require.Equal(t, before+c.want, string(after), "after another field")
			require.Equal(t, c.kept, kept[1])
		})
	}
}

func TestValuesOfOneNameAreJoined(t *testing.T) {
	got, kept := collect("Vary:a", "Server:x", "vary:b", "Var:y", "VARY:c")
	require.Equal(t, "vary: a, b, c\nserver: x\nvar: y\n", string(got))
	require.Equal(t, make([]outcome.Kept, 5), kept)
	long := strings.Repeat("x", outcome.MaxHeaderBytes-10)
	got, kept = collect("a:"+long, "a:0123456789", "b:1")
	require.Equal(t, "a: "+long+"\nb: 1\n", string(got), "what has room goes on")
	require.Equal(t, []outcome.Kept{outcome.KeptWhole, outcome.KeptNot, outcome.KeptWhole}, kept)
}

func TestHeadersAreBounded(t *testing.T) {
	var fields []string
	for i := range outcome.MaxHeaders + 1 {
		fields = append(fields, fmt.Sprintf("X-%d:%d", i, i))
	}
	got, kept := collect(fields...)
	require.Equal(t, outcome.MaxHeaders, strings.Count(string(got), "\n"))
	require.Equal(t, outcome.KeptWhole, kept[outcome.MaxHeaders-1])
	require.Equal(t, outcome.KeptNot, kept[outcome.MaxHeaders])
}

func TestHeadersInJSON(t *testing.T) {
	h := outcome.Headers("a: 1\nquote\": \\<>\u2028\nempty: \n")
	text, err := json.Marshal(h)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":"1","quote\"":"\\<>\u2028","empty":""}`, string(text))
	var back outcome.Headers
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, h, back)
	require.NoError(t, json.Unmarshal([]byte(`{"b":"x\ny"}`), &back))
	require.Equal(t, "b: x y\n", string(back))
	require.NoError(t, json.Unmarshal([]byte(`null`), &back))
	for _, bad := range []string{`[]`, `"a"`, `{"a":1}`, `{"a":["b"]}`} {
		require.Error(t, json.Unmarshal([]byte(bad), &back), bad)
	}
	require.Equal(t, "b: x y\n", string(back), "left as it was")
}

func TestHeadersStopWhenTold(t *testing.T) {
	for name, value := range outcome.Headers("a: 1\nb: 2\n").All() {
		require.Equal(t, "a=1", name+"="+value)
		break
	}
}

// Whatever an endpoint sends: within the bounds, text, a name once, no secret beside its name.
func FuzzAppendHeader(f *testing.F) {
	f.Add("Server: x\nSet-Cookie: a\nset-cookie: b\nLocation: /?a")
	f.Add(strings.Repeat("a: \xff\n", 100))
	f.Add("a:b\n:\nA: c")
	f.Fuzz(func(t *testing.T, lines string) {
		var text []byte
		for line := range strings.SplitSeq(lines, "\n") {
			name, value, _ := strings.Cut(line, ":")
			before := string(text)
			var kept outcome.Kept
			text, kept = outcome.AppendHeader(text, []byte(name), []byte(value))
			if kept == outcome.KeptOut || kept == outcome.KeptNot {
				require.Equal(t, before, string(text))
			}
		}
		require.LessOrEqual(t, len(text), outcome.MaxHeaderBytes)
		require.True(t, utf8.Valid(text))
		h, seen := outcome.Headers(text), map[string]string{}
		for name, value := range h.All() {
			require.NotContains(t, seen, name)
			seen[name] = value
			if strings.Contains(name, "cookie") {
				require.Empty(t, strings.Trim(strings.ReplaceAll(value, outcome.RedactedValue, ""), ", "))
			}
		}
		require.LessOrEqual(t, len(seen), outcome.MaxHeaders)
		out, err := json.Marshal(h)
		require.NoError(t, err)
		var back outcome.Headers
		require.NoError(t, json.Unmarshal(out, &back))
		require.Equal(t, h, back)
	})
}

// The short way of reading comes to what the long one does, which spaces have taken.
func FuzzHeadersFromJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":"b"}`, `{"a":"b","c":""}`, `{"a":"b",}`, `{"a":"b"`, `{"a":"b"}}`, `{"a":1}`, `{"":""}`, `{"a":"\n"}`, `{"a":"b","a":"c"}`,
		`{"a":"b";"c":"d"}`, `{"a":null}`, `null`, `[]`, "{\"a\":\"\x7f\u00e9\"}", `{"a":"b" , "c":"d"}`, `{"a":{"b":"c"}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			return // encoding/json looks first
		}
		var spaced bytes.Buffer
		require.NoError(t, json.Indent(&spaced, text, "", " "))
		var short, long outcome.Headers
		errShort, errLong := short.UnmarshalJSON(bytes.TrimSpace(text)), long.UnmarshalJSON(spaced.Bytes())
		require.Equal(t, errLong == nil, errShort == nil, "%v, %v", errShort, errLong)
		require.Equal(t, long, short)
	})
}
