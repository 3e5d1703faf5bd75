package transform

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The hostile programs run with an eighth of the work, for they are many, and without the clock. maxAllocated is how many
// bytes one run may then allocate altogether, garbage too.
const (
	hostileWork  = MaxWork / 8
	maxAllocated = 96 << 20
)

// doubled is a value with 2^60 leaves and 60 arrays.
const doubled = `(reduce range(60) as $i (1; [., .]))`

var hostile = []struct {
	source string
	kinds  []Kind
}{
	{`[range(1000000000)]`, []Kind{KindWork}},
	{`[limit(1000000000; repeat(0))]`, []Kind{KindWork}},
	{`def f: f; f`, []Kind{KindWork}},
	{`def f: 1 + f; f`, []Kind{KindWork}},
	{`def f: [f]; f`, []Kind{KindWork}},
	{`def f: f | f; f`, []Kind{KindWork}},
	{`def f: (f, f); f`, []Kind{KindWork}},
	{`def f(g): f(g | g); f(.)`, []Kind{KindWork}},
	{`repeat(.)`, []Kind{KindWork, KindOutput}},
	{`last(repeat(.))`, []Kind{KindWork}},
	{`until(false; .)`, []Kind{KindWork}},
	{`try repeat(error("x")) catch repeat(.)`, []Kind{KindWork, KindOutput}},
	{`def f: try (1 + f) catch f; f`, []Kind{KindWork}},
	{`def f: (f? // f); f`, []Kind{KindWork}},
	{`"x" * 1000000000`, []Kind{KindTooLarge}},
	{`try ("x" * 1000000000) catch {payload: 1}`, []Kind{KindTooLarge}},
	{`("x" * 1000000000)? // {payload: 1}`, []Kind{KindTooLarge}},
	{`"" * 1e300 | {payload: 1, cancel: .}`, []Kind{KindOutput}},
	{`reduce range(60) as $i ("x"; . + .)`, []Kind{KindTooLarge, KindWork}},
	{`reduce range(60) as $i ("x"; "\(.)\(.)")`, []Kind{KindTooLarge, KindWork}},
	{`reduce range(60) as $i ([1]; . + .)`, []Kind{KindWork}},
	{`reduce range(60) as $i ({a: 1}; with_entries(.key += "a", .key += "b"))`, []Kind{KindWork, KindTooLarge}},
	{`reduce range(60) as $i (3; . * .)`, []Kind{KindTooLarge}},
	{`reduce range(100) as $i (["x" * 100000]; . + .) | join("x")`, []Kind{KindWork, KindTooLarge}},
	{`[range(1000) | "x" * 100000] | add`, []Kind{KindWork, KindTooLarge}},
	{`[range(1000) as $i | "x" * 1000000]`, []Kind{KindWork}},
	{`"x" * 1000000 | [range(1000) as $i | explode]`, []Kind{KindWork}},
	{`"x" * 1000000 | [range(1000) as $i | ascii_upcase]`, []Kind{KindWork}},
	{`"x" * 1000000 | [range(1000) as $i | split("")]`, []Kind{KindWork}},
	{`"x" * 1000000 | [range(1000) as $i | @base64]`, []Kind{KindWork}},
	{`"x" * 1000000 | [range(1000) as $i | . / ""]`, []Kind{KindWork}},
	{`"[" * 1000000 | fromjson`, []Kind{KindRuntime, KindWork}},
	{`("[" * 5000) + ("]" * 5000) | fromjson`, []Kind{KindRuntime}},
	{`[range(5000)] | [range(1000) as $i | keys]`, []Kind{KindWork}},
	{`[range(5000)] | [range(1000) as $i | .[1:] + [1]]`, []Kind{KindWork}},
	{`[range(5000)] | . - .`, []Kind{KindWork}},
	{`[range(5000)] | contains(.)`, []Kind{KindWork}},
	{`[range(5000)] | indices([1, 2])`, []Kind{KindWork, KindOutput}},
	{`[range(5000)] | index(.[1:])`, []Kind{KindWork}},
	{`"x" * 100000 | . as $x | indices($x[50000:])`, []Kind{KindWork}},
	{`[[range(3000)]] + [range(3000) | []] | transpose`, []Kind{KindWork}},
	{`[range(2000)] as $a | def f: $a | .[] | f; f`, []Kind{KindWork}},
	{`[range(2000)] as $a | def f: $a | map(f); f`, []Kind{KindWork}},
	{`[range(2000)] as $a | def f: reduce $a[] as $x (0; f); f`, []Kind{KindWork}},
	{`([range(500) | {"\(.)": 1}] | add) as $o | def f: [$o | to_entries, f]; f`, []Kind{KindWork}},
	{`def f: if true then 1 + f else (` + strings.Repeat("1 as $a | ", 1500) + `1) end; f`, []Kind{KindWork}},
	{`def f(g): g; def h: f(if true then 1 + h else (` + strings.Repeat("1 as $a | ", 1500) + `1) end); h`, []Kind{KindWork}},
	{`.[100000000 + 0] = 1`, []Kind{KindTooLarge}},
	{`null | .[1e8 | .] = 1`, []Kind{KindTooLarge}},
	{`null | setpath([100000000]; 1)`, []Kind{KindTooLarge}},
	{`null | getpath([100000000]) |= 1`, []Kind{KindTooLarge}},
	{`null | setpath([100000, 100000, 100000]; 1) | [range(1000) as $i | setpath([100000]; 1)]`, []Kind{KindWork}},
	{`null | recurse(.a) |= empty`, []Kind{KindWork}},
	{`[null | path(recurse(.a))]`, []Kind{KindWork}},
	{`null | .. = [.]`, nil},
	{`null | recurse(.[0]) = 1`, []Kind{KindRuntime}},
	{`[paths]`, []Kind{KindOutput}},
	{doubled, []Kind{KindWork}},
	{doubled + ` | tojson`, []Kind{KindWork}},
	{doubled + ` | "\(.)"`, []Kind{KindWork}},
	{doubled + ` | @text`, []Kind{KindWork}},
	{doubled + ` | [.] | @csv`, []Kind{KindWork}},
	{doubled + ` | @html "\(.)"`, []Kind{KindWork}},
	{doubled + ` | . == .`, []Kind{KindWork}},
	{doubled + ` as $a | ` + doubled + ` | . < $a`, []Kind{KindWork}},
	{doubled + ` | contains(.)`, []Kind{KindWork}},
	{doubled + ` | [., .] | sort`, []Kind{KindWork}},
	{doubled + ` | [., .] | unique`, []Kind{KindWork}},
	{doubled + ` | [., .] | group_by(.)`, []Kind{KindWork}},
	{doubled + ` | [., .] | min`, []Kind{KindWork}},
	{doubled + ` | [., .] | max_by(.)`, []Kind{KindWork}},
	{doubled + ` | flatten`, []Kind{KindWork}},
	{doubled + ` | . - .`, []Kind{KindWork}},
	{doubled + ` | index(.)`, []Kind{KindWork}},
	{doubled + ` | del(.[0])`, []Kind{KindWork}},
	{doubled + ` | .[0] |= empty`, []Kind{KindWork}},
	{doubled + ` | delpaths([[0]])`, []Kind{KindWork}},
	{doubled + ` | walk(.)`, []Kind{KindWork}},
	{doubled + ` | [..]`, []Kind{KindWork}},
	{doubled + ` | error`, []Kind{KindRuntime}},
	{doubled + ` | .a`, []Kind{KindRuntime}},
	{doubled + ` | try .a catch {payload: .}`, nil},
	{`reduce range(60) as $i ({}; {a: ., b: .}) | . * .`, []Kind{KindWork}},
	{`{payload: ` + doubled + `}`, []Kind{KindWork}},
	{`reduce range(100000) as $i (0; [.]) | {payload: .}`, []Kind{KindTooLarge, KindWork}},
	{`reduce range(30000) as $i (0; [.]) | tojson`, []Kind{KindTooLarge, KindWork}},
	{`reduce range(30000) as $i (0; [.]) | . == .`, []Kind{KindTooLarge, KindWork}},
	{`reduce range(30000) as $i (0; {a: .}) | [paths]`, []Kind{KindWork, KindTooLarge}},
	{`"x" * 1000000 | test("(x+x+)+y")`, []Kind{KindOutput, KindWork}},
	{`"x" * 1000000 | [match("";"g")]`, []Kind{KindWork}},
	{`"x" * 1000000 | gsub("x"; "yy")`, []Kind{KindWork}},
	{`"x" * 3000000 | test("(a|b|x)*" * 100)`, []Kind{KindWork}},
	{`test("((a{100}){10}){10}")`, []Kind{KindRuntime}},
	{`"" | test("((((a{99}){9}){9}){9}){9}")`, []Kind{KindRuntime}},
	{`"" | test("a" * 2000)`, []Kind{KindRuntime}},
	{`"" | reduce range(100000) as $i (0; . + ("x" | test("a\($i)") | if . then 1 else 0 end))`, []Kind{KindWork}},
	{`0 | strftime("%1000d" * 10000)`, []Kind{KindRuntime}},
	{`"1" * 100000 | tonumber`, []Kind{KindRuntime}},
	{`"1" * 1000 | [range(100000) as $i | tonumber]`, []Kind{KindWork}},
	{`[range(100000) | {a: .}] | sort_by(.a) | group_by(.a)`, []Kind{KindWork}},
	{`[range(1; 100) as $a | range(1; 100) as $b | range(1; 100) as $c | $a * $b * $c]`, []Kind{KindWork}},
	{`"\("x" * 1000000)" as $x | [range(1000) | {($x + "\(.)"): $x}] | add`, []Kind{KindWork}},
	{`[range(5000)] | until(false; map(. + 1))`, []Kind{KindWork}},
	{`range(0; 1; 0)`, []Kind{KindWork, KindOutput}},
	{`[range(1; infinite)]`, []Kind{KindWork}},
	{`input_line_number? // 1`, nil},
}

// TestHostile runs programs that want too much. All end by their own count of work, not by the clock, and none allocates more
// than the limit on its way. It runs alone, to measure the latter.
func TestHostile(t *testing.T) { //nolint:paralleltest // it measures what is allocated
	var most uint64
	for _, c := range hostile {
		p, err := Compile(c.source)
		if err != nil {
			require.Nil(t, c.kinds, "%.80s: %v", c.source, err)
			continue
		}
		p.work, p.timeout = hostileWork, patience
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = p.Run(t.Context(), order(`{"a":1}`))
		runtime.ReadMemStats(&after)
		allocated := after.TotalAlloc - before.TotalAlloc
		assert.Less(t, allocated, uint64(maxAllocated), "%.80s", c.source)
		if c.kinds == nil {
			continue // only has to end
		}
		var e *Error
		if assert.ErrorAs(t, err, &e, "%.80s", c.source) {
			assert.Contains(t, c.kinds, e.Kind, "%.80s: %v", c.source, err)
		}
		most = max(most, allocated)
	}
	t.Logf("%d MiB allocated at most", most>>20)
}

// TestPatternsAreBounded makes more regular expressions than are kept.
func TestPatternsAreBounded(t *testing.T) {
	t.Parallel()
	p, err := Compile(`{payload: [range(100) | "\(.)" as $re | "42" | test($re)] | map(select(.)) | length}`)
	require.NoError(t, err)
	out, err := p.Run(t.Context(), order(`1`))
	require.NoError(t, err)
	assert.Equal(t, "3", string(out.Payload)) // 2, 4, 42
	i, err := p.instance()
	require.NoError(t, err)
	assert.LessOrEqual(t, len(i.patterns), maxPatterns)
}

// FuzzRun runs arbitrary programs: none panics, and each ends with a request or an error of a known kind, the same twice.
func FuzzRun(f *testing.F) {
	for _, c := range hostile {
		f.Add(c.source, orderPayload)
	}
	f.Add(`.payload |= {id}`, `{"id":1}`)
	f.Add(`.headers["a"] = "b" | .url += "/x"`, `[1,2.5,"x",null]`)
	f.Add(`.payload.a[1:2] |= map(.) | del(.payload..)`, `{"a":[1,2]}`)
	f.Fuzz(func(t *testing.T, source, payload string) {
		if len(source) > 400 || len(payload) > 4096 {
			return
		}
		p, err := Compile(source)
		if err != nil {
			var e *SyntaxError
			require.ErrorAs(t, err, &e)
			return
		}
		p.work, p.timeout = hostileWork/4, patience
		out, err := p.Run(t.Context(), order(payload))
		again, second := p.Run(t.Context(), order(payload))
		if err != nil {
			var e *Error
			require.ErrorAs(t, err, &e)
			require.NotContains(t, e.Detail, "interpreter", "the interpreter panicked")
			require.LessOrEqual(t, len(e.Detail), maxDetail)
			require.Equal(t, err, second)
			return
		}
		require.Equal(t, out, again)
		require.LessOrEqual(t, len(out.Payload), MaxPayload)
	})
}
