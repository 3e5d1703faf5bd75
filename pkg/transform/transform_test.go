package transform

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const orderPayload = `{"id":12345678901234567890,"shop":"nord","note":null,"total":10.50,"lines":` +
	`[{"sku":"A","price":3,"qty":2},{"sku":"B","price":4.5,"qty":1}],"tags":["new","vip"],"big":9007199254740993}`

func order(payload string) Input {
	return Input{
		URL: "https://shop.example/hooks", EventType: "order.created", Payload: []byte(payload), ID: "msg_1",
		Timestamp: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
	}
}

func run(t testing.TB, source, payload string) (Output, error) {
	t.Helper()
	p, err := Compile(source)
	require.NoError(t, err, source)
	require.Equal(t, source, p.Source())
	p.timeout = patience
	return p.Run(t.Context(), order(payload))
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, source string
		want         Output // what differs from the input
		payload      string // as sent, if not the event's own
	}{
		{name: "identity", source: `.`, payload: `{"big":9007199254740993,"id":12345678901234567890,` +
			`"lines":[{"price":3,"qty":2,"sku":"A"},{"price":4.5,"qty":1,"sku":"B"}],"note":null,"shop":"nord",` +
			`"tags":["new","vip"],"total":10.50}`},
		{name: "definitions alone", source: `def f: 1;`, payload: `{"big":9007199254740993,"id":12345678901234567890,` +
			`"lines":[{"price":3,"qty":2,"sku":"A"},{"price":4.5,"qty":1,"sku":"B"}],"note":null,"shop":"nord",` +
			`"tags":["new","vip"],"total":10.50}`},
		{name: "payload left out", source: `{method}`, payload: orderPayload},
		{
			name: "rename", source: `.payload |= {order: .id, sum: (.lines | map(.price * .qty) | add)}`,
			payload: `{"order":12345678901234567890,"sum":10.5}`,
		},
		{
			name: "only payload", source: `{payload: {text: "Order \(.payload.id) from \(.payload.shop)"}}`,
			payload: `{"text":"Order 12345678901234567890 from nord"}`,
		},
		{name: "any payload", source: `.payload = null`, payload: `null`},
		{name: "text", source: `{payload: "a"}`, payload: `"a"`},
		{
			name: "put", source: `{method: "PUT", url: (.url + "/\(.payload.shop|@uri)")}`,
			want: Output{Method: "PUT", URL: "https://shop.example/hooks/nord"}, payload: orderPayload,
		},
		{
			name: "headers", source: `{headers: {"X-Shop": .payload.shop, "X-Type": .eventType}}`,
			want: Output{Headers: map[string]string{"X-Shop": "nord", "X-Type": "order.created"}}, payload: orderPayload,
		},
		{
			name: "header set", source: `{headers: (.headers["X-Id"] = .id | .headers)}`,
			want: Output{Headers: map[string]string{"X-Id": "msg_1"}}, payload: orderPayload,
		},
		{name: "cancel", source: `if .payload.shop == "nord" then .cancel = true else . end`, want: Output{Cancel: true}},
		{name: "cancel only", source: `{cancel: true}`, want: Output{Cancel: true}},
		{name: "no cancel", source: `{cancel: false}`, payload: orderPayload},
		{name: "time", source: `{payload: (.timestamp | fromdate)}`, payload: `1777629600`},
		{
			name: "numbers", source: `{payload: [.payload.big, .payload.big + 1, .payload.id * 2, .payload.total, -.payload.big]}`,
			payload: `[9007199254740993,9007199254740994,24691357802469135780,10.50,-9007199254740993]`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := run(t, c.source, orderPayload)
			require.NoError(t, err)
			want := c.want
			if want.Method == "" {
				want.Method = "POST"
			}
			if want.URL == "" {
				want.URL = "https://shop.example/hooks"
			}
			if want.Headers == nil {
				want.Headers = got.Headers
				assert.Empty(t, got.Headers)
			}
			if !want.Cancel {
				want.Payload = []byte(c.payload)
			}
			assert.Equal(t, want, got, "%s", got.Payload)
		})
	}
}

// TestFunctions runs what the package defines itself, or guards. The results are those of jq 1.7.
func TestFunctions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ source, want string }{
		{`1 + 2, 1.5 + 1, null + 1, 1 + null, "a" + "b", [1] + [2], {a: 1} + {a: 2, b: 3}`, `[3,2.5,1,1,"ab",[1,2],{"a":2,"b":3}]`},
		{
			`9223372036854775807 + 1, -9223372036854775808 - 1, 4611686018427387904 * 4`,
			`[9223372036854775808,-9223372036854775809,18446744073709551616]`,
		},
		{
			`3 - 1, [1, 2, 1, 3] - [1], 7 / 2, 6 / 3, 7 % 3, -7 % 3, 5.9 % 2.1, 18446744073709551616 / 2`,
			`[2,[2,3],3.5,2,1,-1,1,9223372036854775808]`,
		},
		{`"ab" * 3, "ab" * -1, 2 * "x", {a: {b: 1}} * {a: {c: 2}}, "a,b" / ","`, `["ababab",null,"xx",{"a":{"b":1,"c":2}},["a","b"]]`},
		{`1 == 1.0, "a" < "b", [1, 2] >= [1], {} != {a: 1}, null < false, "a" > 1`, `[true,true,true,true,true,true]`},
		{`{a: 1} | .a += 1 | .a -= 3 | .a *= -4 | .a /= 2 | .a %= 3 | .b //= 5`, `[{"a":2,"b":5}]`},
		{
			`[1, 2, 3] | .[] |= . + 1, (.[1] = 9), (.[5] = 1), (.[-1] = 0), (.[1:] = [7]), (.[:1] |= map(. * 2))`,
			`[[2,3,4],[1,9,3],[1,2,3,null,null,1],[1,2,0],[1,7],[2,2,3]]`,
		},
		{
			`[1, 2, 3, 4] | (.[] |= if . % 2 == 0 then empty else . end), del(.[0, 2]), del(.[1:3]), delpaths([[0], [9]])`,
			`[[1,3],[2,4],[1,4],[2,3,4]]`,
		},
		{
			`{a: {b: 1}, c: [1]} | del(.a.b), del(.x.y), (.a.z.q = 1), (.. |= .), (.c[0] |= (1, 2)), del(.a, .c)`,
			`[{"a":{},"c":[1]},{"a":{"b":1},"c":[1]},{"a":{"b":1,"z":{"q":1}},"c":[1]},{"a":{"b":1},"c":[1]},{"a":{"b":1},"c":[1]},{}]`,
		},
		{`{a: 1} | (.a, .b) = (1, 2)`, `[{"a":1,"b":1},{"a":2,"b":2}]`},
		{
			`[[1, 2], [3]] | [paths], getpath([0, 1]), setpath([1, 0]; 4), pick(.[1][0]), [path(..)], (to_entries? // "no")`,
			`[[[0],[0,0],[0,1],[1],[1,0]],2,[[1,2],[4]],[null,[3]],[[],[0],[0,0],[0,1],[1],[1,0]],"no"]`,
		},
		{
			`{b: 1, a: 2} | keys, to_entries, with_entries(.value += 1), map_values(. * 2), length, has("a"), ([.[]]), add`,
			`[["a","b"],[{"key":"a","value":2},{"key":"b","value":1}],{"a":3,"b":2},{"a":4,"b":2},2,true,[2,1],3]`,
		},
		{`[{name: "a", Value: 1}, {key: "b", value: null}] | from_entries`, `[{"a":1,"b":null}]`},
		{
			`[3, 1, 2] | sort, min, max, reverse, add, (map(. * 2)), first, last, .[1:], index(1), any(. > 2), all(. > 2)`,
			`[[1,2,3],1,3,[2,1,3],6,[6,2,4],3,2,[1,2],1,true,false]`,
		},
		{`[{a: 2, b: 1}, {a: 1, b: 2}, {a: 2, b: 3}] | sort_by(.a)[0].b, (group_by(.a) | map(length)), (unique_by(.a) | length),` +
			` max_by(.b).b, min_by(.b).b`, `[2,[1,2],2,3,1]`},
		{
			`[1, [2, [3]]] | flatten, flatten(1), tojson, tostring, contains([1]), ([.. | numbers])`,
			`[[1,2,3],[1,2,[3]],"[1,[2,[3]]]","[1,[2,[3]]]",true,[1,2,3]]`,
		},
		{
			`[[1, 2], [3]] | transpose, add, (map(add) | add), ([limit(1; .[])]), ([skip(1; .[])]), nth(1), isempty(.[])`,
			`[[[1,3],[2,null]],[1,2,3],6,[[1,2]],[[3]],[3],false]`,
		},
		{`["a", null, 1, true] | join("-")`, `["a--1-true"]`},
		{
			`"a,b, c" | split(","), split(", *"; null), ([splits(",")]), explode[0], ascii_upcase, length, ltrimstr("a"), test("B"; "i")`,
			`[["a","b"," c"],["a","b","c"],["a","b"," c"],97,"A,B, C",6,",b, c",true]`,
		},
		{
			`"foo bar foo" | sub("foo"; "x"), gsub("(?<l>[a-z])o+"; "\(.l)0"), ([scan("o+")]), ([match("o"; "g").offset])`,
			`["x bar foo","f0 bar f0",["oo","oo"],[1,2,9,10]]`,
		},
		{`"añb1" | match("b(?<n>\\d)?") | .offset, .length, .string, .captures[0].name, .captures[0].offset`, `[2,2,"b1","n",3]`},
		{`"xyz" | capture("(?<a>x)(?<n>q)?"), [scan("(.)(.)")], [match(["Y", "i"]).string]`, `[{"a":"x","n":null},[["x","y"]],["y"]]`},
		{
			`"{\"a\":[1,1e2]}" | fromjson, ("12" | tonumber), ([65, 66] | implode), ("a b" | @uri), ([1, "a\"b"] | @csv), @base64 "x\("y")"`,
			`[{"a":[1,1e2]},12,"AB","a%20b","1,\"a\"\"b\"","xeQ=="]`,
		},
		{`0 | todate, strftime("%Y"), ("2026-05-01" | strptime("%Y-%m-%d") | mktime), (gmtime | mktime)`, `["1970-01-01T00:00:00Z","1970",1777593600,0]`},
		{
			`[range(3)], [range(1; 3)], [range(0; 10; 5)], [1 | while(. < 5; . * 2)], [1 | limit(3; repeat(. * 2))], (1 | until(. > 5; . + 3))`,
			`[[0,1,2],[1,2],[0,5],[1,2,4],[1,2,4],7]`,
		},
		{
			`[1, [2]] | walk(if type == "number" then . + 1 else . end), (first(empty) // "none"), ([last(.[])]), [recurse(.[]?; true)]`,
			`[[2,[3]],"none",[[2]],[[1,[2]],1,[2],2]]`,
		},
		{
			`INDEX({id: 1}, {id: 2}; .id), (2 | IN(1, 2)), ([1, 2] | IN(.[]; 3)), ({} | .["a\(1)"] = 2), {"k\(1)": 2}`,
			`[{"1":{"id":1},"2":{"id":2}},true,false,{"a1":2},{"k1":2}]`,
		},
		{
			`. as [$a, {b: $c}] ?// $a | 1, (reduce (1, 2, 3) as $x (0; . + $x)), [foreach (1, 2) as $x (0; . + $x; [$x, .])]`,
			`[1,6,[[1,1],[2,3]]]`,
		},
		{
			`try error("x") catch ., (try ([] | .a) catch "caught"), ([.[]?]), ("a" as $x | "b" as $y | [$x, $y]), (label $f | 1, break $f)`,
			`["x","caught",[],["a","b"],1]`,
		},
		{`def f(g; $n): [g * $n]; def sort: "mine"; f(1, 2; 3), sort, ([2, 1] | def add: 5; add)`, `[[3,6],"mine",5]`},
		{`def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 25 | fac`, `[15511210043330985984000000]`},
		{
			`nan < 1, ([nan] | tojson), (infinite | floor | tojson), (-1 | abs), (2 | pow(.; 10)), ([1, 1.5, "x"] | map(tojson))`,
			`[true,"[null]","1.7976931348623157e+308",1,1024,["1","1.5","\"x\""]]`,
		},
	} {
		out, err := run(t, `{payload: (null | [`+c.source+`])}`, `{}`)
		if assert.NoError(t, err, c.source) {
			assert.Equal(t, c.want, string(out.Payload), c.source)
		}
	}
}

// TestEdit looks at what the program holds of a value that is edited: it must not change.
func TestEdit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ source, want string }{
		{`. as $old | .lines[0].sku = "X" | .lines[0].qty |= 9 | [$old.lines[0].sku, .lines[0].sku]`, `["A","X"]`},
		{`[[0], [0]] | .[0] as $row | (.[] |= (. as $r | $r | .[0] = 1)) | [$row, .]`, `[[0],[[1],[1]]]`},
		{`{a: [1]} | (.b, .c) = .a | .b[0] = 2 | .`, `{"a":[1],"b":[2],"c":[1]}`},
		{`{a: {x: 1}} | reduce (.a, .a.x) as $v (.; .a.x += 1) | .`, `{"a":{"x":3}}`},
		{`[1, 2, 3] | (.[0], .[0], .[1]) |= empty`, `[3]`},
		{`[[1, 2], [3, 4]] | (.[][0], .[1]) |= empty`, `[[2]]`},
	} {
		out, err := run(t, `.payload |= (`+c.source+`)`, orderPayload)
		if assert.NoError(t, err, c.source) {
			assert.Equal(t, c.want, string(out.Payload), c.source)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source string
		kind   Kind
		text   string
	}{
		{`empty`, KindOutput, "no output: want exactly one"},
		{`., .`, KindOutput, "more than one output"},
		{`.[]`, KindOutput, "the output is object"}, // the first one, if it were only one
		{`"a"`, KindOutput, "the output is string: want an object with method"},
		{`{body: 1}`, KindOutput, "body: is no field of the output: want method, url, headers, payload and cancel"},
		{`{"secret \(.payload.shop)": 1}`, KindOutput, "(a name of 23 bytes)"},
		{`.method = "DELETE"`, KindOutput, "method: want POST or PUT"},
		{`.method = 1`, KindOutput, "method: want POST or PUT"},
		{`.url = "http://shop.example"`, KindOutput, "url: want https://host/path"},
		{`.url = "https://u:p@shop.example"`, KindOutput, "url: want no user"},
		{`.url = "https://shop.example/#a"`, KindOutput, "url: want no user"},
		{`.url = 1`, KindOutput, "url: number"},
		{`.url = "https://shop.example/" + "a" * 3000`, KindOutput, "url: 3021 bytes: want at most 2048"},
		{`.id = "x"`, KindOutput, "id: cannot be changed"},
		{`.eventType = 1`, KindOutput, "eventType: cannot be changed"},
		{`.timestamp = ""`, KindOutput, "timestamp: cannot be changed"},
		{`.cancel = "yes"`, KindOutput, "cancel: string: want true or false"},
		{`.headers = []`, KindOutput, "headers: array: want an object of strings"},
		{`.headers.a = 1`, KindOutput, "headers.a: number: want a string"},
		{`.headers["a b"] = "x"`, KindOutput, "headers.(a name of 3 bytes): is no header name"},
		{`.headers.a = "x\ny"`, KindOutput, "headers.a: the value holds byte 0x0a"},
		{`.headers["Content-Type"] = "x"`, KindOutput, "is not a transformation's to set"},
		{`.headers = {a: "1", A: "2"}`, KindOutput, "is the same header as A"},
		{`.headers = ([range(51) | {"x\(.)": ""}] | add)`, KindOutput, "headers: 51: want at most 50"},
		{`.headers.a = "x" * 5000`, KindOutput, "want at most 4096"},
		{`.payload = "x" * 1100000`, KindTooLarge, "payload: 1100002 bytes of JSON: want at most 1048576"},
		{`error("no total")`, KindRuntime, "the program ended with an error: no total"},
		{`error(.payload.shop)`, KindRuntime, "the program ended with an error"},
		{`error(.payload)`, KindRuntime, "the program ended with an error"},
		{`error`, KindRuntime, "the program ended with an error"},
		{`error(null)`, KindRuntime, "the program ended with an error"},
		{`.payload.shop + 1`, KindRuntime, "string and number cannot be added"},
		{`.payload.shop.x`, KindRuntime, "expected an object but got: string"},
		{`.payload.shop[]`, KindRuntime, "cannot iterate over: string"},
		{`.payload.shop | keys`, KindRuntime, "keys cannot be applied to: string"},
		{`.payload.shop | tonumber`, KindRuntime, "tonumber cannot be applied to"},
		{`.payload.shop | fromjson`, KindRuntime, "a text is no JSON"},
		{`.payload | test("a")`, KindRuntime, "object cannot be matched with string"},
		{`.payload.shop | test("(")`, KindRuntime, "a regular expression is not valid"},
		{`.payload.shop | test("a"; "q")`, KindRuntime, "want g, i, m or s"},
		{`1 / 0`, KindRuntime, "divided by zero"},
		{`1 % 0`, KindRuntime, "no remainder by zero"},
		{`{} - 1`, KindRuntime, "number cannot be subtracted from object"},
		{`{} * 1`, KindRuntime, "object and number cannot be multiplied"},
		{`.[0] = 1`, KindRuntime, "expected an array but got: object"},
		{`setpath([0]; 1)`, KindRuntime, "object cannot be indexed with number"},
		{`setpath(0; 1)`, KindRuntime, "a path is number: want an array"},
		{`.payload.lines[-9] = 1`, KindRuntime, "before the start"},
		{`[1] | .[0:1] = 2`, KindRuntime, "cannot be number: want an array"},
		{`[1] | setpath([{start: "a", end: null}]; [2])`, KindRuntime, "starts and ends at a number"},
		{`"2026 CEST" | strptime("%Y %Z")`, KindRuntime, "names a zone"},
		{`[1] | to_entries`, KindRuntime, "array has no entries"},
		{`[1] | from_entries`, KindRuntime, "an entry is number"},
		{`[{}] | from_entries`, KindRuntime, "the key of an entry is null"},
		{`[[1], 2] | transpose`, KindRuntime, "number cannot be transposed"},
		{`[[]] | join(",")`, KindRuntime, "array cannot be joined"},
		{`limit(-1; 1)`, KindRuntime, "limit: want a count that is not negative"},
	} {
		out, err := run(t, c.source, `{"shop":"nord (secret) 12","lines":[]}`)
		var e *Error
		if assert.ErrorAs(t, err, &e, c.source) {
			assert.Zero(t, out)
			if c.source != ".[]" {
				assert.Contains(t, err.Error(), c.text, c.source)
			}
			assert.Equal(t, c.kind, e.Kind, c.source)
			assert.NotContains(t, err.Error(), "secret")
			assert.LessOrEqual(t, len(e.Detail), maxDetail)
		}
	}
}

func TestInput(t *testing.T) {
	t.Parallel()
	for payload, text := range map[string]string{
		"":                              "payload: is no JSON",
		"a":                             "payload: is no JSON",
		"{} {}":                         "payload: is more than one JSON value",
		strings.Repeat("1", maxShort+1): "payload: a number of 1025 characters",
		strings.Repeat("[", 600) + strings.Repeat("]", 600): "payload: a value is nested deeper than 500",
	} {
		_, err := run(t, ".", payload)
		require.ErrorContains(t, err, text)
	}
	p, err := Compile(`{payload: .}`)
	require.NoError(t, err)
	p.timeout = patience
	in := order(`1e2`)
	in.Method, in.Headers = "PUT", map[string]string{"X-A": "b"}
	out, err := p.Run(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, `{"eventType":"order.created","headers":{"X-A":"b"},"id":"msg_1","method":"PUT","payload":1e2,`+
		`"timestamp":"2026-05-01T10:00:00Z","url":"https://shop.example/hooks"}`, string(out.Payload))
	assert.Equal(t, in.Headers, out.Headers)
}

func TestCompile(t *testing.T) {
	t.Parallel()
	for source, text := range map[string]string{
		" ":                       "missing: want a program in jq",
		"\xff":                    "is not UTF-8",
		".a |":                    "1:5: unexpected EOF",
		".\n  | foo(":             "2:9: unexpected EOF",
		".\n| .a ) b":             `2:6: unexpected token ")"`,
		`"abc`:                    "unterminated string literal",
		"nosuch":                  "nosuch is no function that there is, with 0 arguments",
		"map(.; .)":               "map is no function that there is, with 2 arguments",
		"$x":                      "variable not defined: $x",
		"{$x}":                    "variable not defined: $x",
		"break $x":                "label not defined",
		"now":                     "now is not offered: a program must give the same for every try",
		"[localtime]":             "localtime is not offered",
		`strflocaltime("%Y")`:     "strflocaltime is not offered",
		"input":                   "input is not offered: a program sees its input and nothing else",
		"[inputs]":                "inputs is not offered",
		"debug":                   "debug is not offered",
		`debug("a")`:              "debug is not offered",
		"stderr":                  "stderr is not offered",
		"input_filename":          "input_filename is not offered",
		"$ENV.PATH":               "$ENV is not offered",
		"{$ENV}":                  "$ENV is not offered",
		"env":                     "env is not offered",
		"halt":                    "halt is not offered",
		"halt_error":              "halt_error is not offered",
		"$__prog_args":            "$__prog_args is not offered",
		"$__loc__":                "$__loc__ is not offered",
		"builtins":                "builtins is not offered",
		`"a" | modulemeta`:        "modulemeta is not offered",
		`import "a" as a; .`:      "no module, import or include",
		`include "a"; .`:          "no module, import or include",
		`module {}; .`:            "no module, import or include",
		"_multiply(.; .)":         "a name must not start with _",
		"__deep":                  "a name must not start with _",
		"raw_sort":                "raw_sort is no function",
		"def _f: 1; _f":           "a name must not start with _",
		"def f(_g): 1; f(1)":      "a name must not start with _",
		". as $_x | 1":            "a name must not start with _",
		". as {$_x} | 1":          "a name must not start with _",
		"label $_x | 1":           "a name must not start with _",
		".[200000]":               "an index of an array is too large",
		`{"a\(1)"}`:               "needs a value",
		strings.Repeat("1", 2000): "a number of 2000 characters: want at most 1024",
		strings.Repeat("[", 300) + strings.Repeat("]", 300): "nested too deep",
		"[" + strings.Repeat("1,", 5000) + "1]":             "too long: want at most 8000 parts",
		strings.Repeat(" ", MaxSource) + ".":                "16385 bytes: want at most 16384",
		"if . then now else 1 end":                          "now is not offered",
		"try now catch 1":                                   "now is not offered",
		"reduce now as $x (0; 1)":                           "now is not offered",
		"foreach 1 as $x (0; now; 2)":                       "now is not offered",
		`"\(now)"`:                                          "now is not offered",
		`@json "\(now)"`:                                    "now is not offered",
		".a[now]":                                           "now is not offered",
		".a[1:now]":                                         "now is not offered",
		"{(now): 1}":                                        "now is not offered",
		". as {(now): $x} | 1":                              "now is not offered",
		"def f: now; 1":                                     "now is not offered",
		"-now":                                              "now is not offered",
		".a |= now":                                         "now is not offered",
		".a += now":                                         "now is not offered",
		"label $x | now":                                    "now is not offered",
	} {
		_, err := Compile(source)
		var e *SyntaxError
		if assert.ErrorAs(t, err, &e, "%.60s", source) {
			assert.Contains(t, err.Error(), text, "%.60s", source)
			assert.NotContains(t, err.Error(), "\n")
			assert.Equal(t, e.Line > 0, e.Column > 0)
		}
	}
	_, err := Compile(`def now: 1; {payload: now}`)
	require.NoError(t, err, "one's own function may have any name")
	_, err = Compile("{payload: [" + strings.Repeat("1,", 1000) + "1]}" + strings.Repeat(" | .", 1000))
	require.NoError(t, err, "a long chain is not deep")
}

func TestDeterminism(t *testing.T) {
	t.Parallel()
	p, err := Compile(`.payload |= (to_entries | map({(.key): (.value | tojson | gsub("(?<d>\\d)"; "<\(.d)>"))}) | add)` +
		` | .headers = ([range(20) | {"X-\(.)": "\(. * 1.1)"}] | add)`)
	require.NoError(t, err)
	p.timeout = patience
	first, err := p.Run(t.Context(), order(orderPayload))
	require.NoError(t, err)
	var work sync.Map
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				again, err := p.Run(t.Context(), order(orderPayload))
				assert.NoError(t, err)
				assert.Equal(t, first, again)
				fresh, err := Compile(p.Source())
				assert.NoError(t, err)
				fresh.timeout = patience
				i, err := fresh.instance()
				assert.NoError(t, err)
				in := order(orderPayload)
				input, refused := in.value()
				assert.Nil(t, refused)
				_, err = fresh.run(t.Context(), i, input, in.variables())
				assert.NoError(t, err)
				work.Store(i.meter.work, true)
			}
		})
	}
	wg.Wait()
	counts := 0
	work.Range(func(any, any) bool { counts++; return true })
	assert.Equal(t, 1, counts, "the work is the same in every run")
}

func TestContext(t *testing.T) {
	t.Parallel()
	p, err := Compile(`def f: f; f`)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Run(ctx, order(`1`))
	require.ErrorIs(t, err, context.Canceled)
	var e *Error
	require.NotErrorAs(t, err, &e, "the caller's own end is no verdict of the program")

	i, err := p.instance()
	require.NoError(t, err)
	i.meter.err = context.DeadlineExceeded
	err = p.outcome(t.Context(), i, nil)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, KindTimeout, e.Kind)
	assert.NotZero(t, i.meter)
}

// TestNumbersSurvive holds what goes through untouched against its text.
func TestNumbersSurvive(t *testing.T) {
	t.Parallel()
	for _, n := range []string{
		"0", "-0", "1", "-1", "9007199254740993", "-9223372036854775808", "9223372036854775808", "1.10", "1e400", "1E-7", "0.1",
		strconv.Itoa(1<<53+1) + "00000000000000000001", "-0.0",
	} {
		for _, source := range []string{`.`, `.payload |= [.[]]`, `.payload |= map(select(. != "x"))`, `.payload |= (tojson | fromjson)`} {
			out, err := run(t, source, "["+n+"]")
			require.NoError(t, err)
			assert.Equal(t, "["+n+"]", string(out.Payload), source)
		}
	}
	assert.True(t, json.Valid(encode(map[string]any{"<": "\u2028&"})))
	assert.Equal(t, `{"<":"&"}`, string(encode(map[string]any{"<": "&"})))
}

// TestPrelude compiles each definition by itself with what it needs.
func TestPrelude(t *testing.T) {
	t.Parallel()
	l := theLibrary()
	require.NotEmpty(t, l.order)
	for _, full := range l.order {
		name, args, _ := strings.Cut(strings.TrimPrefix(full, "__"), "/")
		n, err := strconv.Atoi(args)
		require.NoError(t, err)
		call := name
		if n > 0 {
			call += "(" + strings.TrimSuffix(strings.Repeat(".; ", n), "; ") + ")"
		}
		switch name {
		case "assign":
			call = ".a = 1"
		case "modify":
			call = ".a |= 1"
		}
		_, err = Compile(call)
		require.NoError(t, err, call)
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`{payload: $variables}`:                                   `{"shop":"nord","token":"secret"}`,
		`{payload: [$variables.shop, $variables.none]}`:           `["nord",null]`,
		`def f: $variables.shop; {payload: [1, 2 | f]}`:           `["nord","nord"]`,
		`{payload: (1 as $variables | $variables)}`:               `1`,
		`{payload: ($variables | .shop = "x" | [., $variables])}`: `[{"shop":"x","token":"secret"},{"shop":"nord","token":"secret"}]`,
	} {
		p, err := Compile(source)
		require.NoError(t, err, source)
		in := order(`{}`)
		in.Variables = map[string]string{"shop": "nord", "token": "secret"}
		for range 2 {
			out, err := p.Run(t.Context(), in)
			require.NoError(t, err, source)
			require.Equal(t, want, string(out.Payload), source)
		}
	}
	out, err := run(t, `{payload: $variables}`, `{}`)
	require.NoError(t, err)
	require.Equal(t, `{}`, string(out.Payload), "none")
	p, err := Compile(`error($variables.token)`)
	require.NoError(t, err)
	in := order(`{}`)
	in.Variables = map[string]string{"token": "secret"}
	_, err = p.Run(t.Context(), in)
	require.EqualError(t, err, "transformation: the program ended with an error")
}
