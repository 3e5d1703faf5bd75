package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/subscription"
)

const orderData = `{"amount":10.5,"n":10,"whole":10.0,"id":12345678901,"big":18446744073709551615,"huge":1e300,"first-name":"Ada",
 "items":[{"sku":"X-1"},{"sku":"Y"}],"vip":true,"nothing":null,"twice":1,"twice":2}`

func orderEvent(data string) *event.Event {
	return &event.Event{
		Type: "order.created", ID: "e-1", Source: "shop", Time: time.Date(2026, 2, 1, 8, 30, 0, 0, time.UTC),
		Channels: []string{"se", "vip"}, ContentType: "application/json", Data: []byte(data),
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 3000)
	data := strings.TrimSuffix(orderData, "}") + `,"long":"` + long + `","longer":"` + strings.Repeat(long, 30) +
		`","many":[` + strings.Repeat("1,", 20_000) + `1]}`
	for _, c := range []struct {
		expression string
		want       bool
		problem    Problem
	}{
		{`data.amount > 10`, true, ""},
		{`data.amount > 11`, false, ""},
		{`data.amount > 10.4 && data.n < 10.5`, true, ""},
		{`data.n == 10.0 && data.whole == 10 && data.n in [9.5, 10]`, true, ""},
		{`data.id == 12345678901`, true, ""},
		{`data.id == 12345678902`, false, ""},
		{`data.big == 18446744073709551615u && data.big > data.id`, true, ""},
		{`data.huge > data.big`, true, ""},
		{`double(data.amount) * 2.0 == 21.0`, true, ""},
		{"data.`first-name` == 'Ada' && data['first-name'].startsWith('A')", true, ""},
		{`data.items.exists(i, i.sku.startsWith("X-")) && !data.items.all(i, i.sku == "Y")`, true, ""},
		{`data.items.map(i, i.sku) == ["X-1", "Y"]`, true, ""},
		{`data.vip`, true, ""},
		{`data.twice == 2`, true, ""},
		{`data.nothing == null`, true, ""},
		{`has(data.nothing) && !has(data.missing)`, true, ""},
		{`type == "order.created" && id == "e-1" && source == "shop" && "vip" in channels`, true, ""},
		{`channels.exists(c, c == "no")`, false, ""},
		{`time < timestamp("2026-02-01T09:00:00Z") && time.getHours() == 8`, true, ""},
		{`"A,b".split(",")[0].lowerAscii() == "a"`, true, ""},
		{`data.missing == 1`, false, ProblemError},
		{`data.missing == 1 || data.n == 10`, true, ""},
		{`data.n`, false, ProblemError},
		{`data.n + "1" == "101"`, false, ProblemError},
		{`data.longer == "a"`, false, ProblemError},
		{`data.many.all(i, i == 1)`, false, ProblemCost},
		{`data.many.exists(i, i == 1)`, true, ""},
		{`data.many.exists(i, i == 2)`, false, ProblemCost},
		{`data.long.matches("^a+$")`, true, ""},
		{`data.long.contains("ab")`, false, ""},
		{`data.long.indexOf(data.long) == 0`, false, ProblemCost},
		{`data.long.matches(data.long)`, false, ProblemError},
	} {
		p, err := Compile(c.expression)
		require.NoError(t, err, c.expression)
		require.Equal(t, c.expression, p.Expression())
		in := NewInput(orderEvent(data))
		got, problem, text := p.Explain(in)
		require.Equal(t, c.want, got, "%s: %s", c.expression, text)
		require.Equal(t, c.problem, problem, "%s: %s", c.expression, text)
		require.Equal(t, problem != ProblemNone, text != "", c.expression)
		again, problem := p.Match(in)
		require.Equal(t, got, again, c.expression)
		require.Equal(t, c.problem, problem, c.expression)
	}
}

func TestDataThatIsNotJSON(t *testing.T) {
	t.Parallel()
	for name, ev := range map[string]*event.Event{
		"by its type":    {Type: "t", ContentType: "text/plain", Data: []byte(`{"n":1}`)},
		"by its bytes":   {Type: "t", ContentType: "application/json", Data: []byte(`{"n":`)},
		"in no encoding": {Type: "t", ContentType: "application/json", Data: []byte("\"\xff\"")},
		"without bytes":  {Type: "t", ContentType: "application/json"},
	} {
		in := NewInput(ev)
		for expression, want := range map[string]struct {
			ok      bool
			problem Problem
		}{
			`data.n == 1`:               {false, ProblemNotJSON},
			`type == "t"`:               {true, ""},
			`type == "t" || data.n > 1`: {true, ""},
			`type == "u" || data.n > 1`: {false, ProblemNotJSON},
			`int(type) == 1`:            {false, ProblemError},
		} {
			p, err := Compile(expression)
			require.NoError(t, err)
			ok, problem := p.Match(in)
			require.Equal(t, want.ok, ok, "%s: %s", name, expression)
			require.Equal(t, want.problem, problem, "%s: %s", name, expression)
		}
	}
}

func TestDataIsDecodedOnceAndOnDemand(t *testing.T) {
	t.Parallel()
	in := NewInput(orderEvent(orderData))
	p, err := Compile(`type != ""`)
	require.NoError(t, err)
	p.Match(in)
	require.False(t, in.decoded)
	p, err = Compile(`data.n == 10`)
	require.NoError(t, err)
	p.Match(in)
	first := in.data
	require.NotNil(t, first)
	p.Match(in)
	require.Same(t, first, in.data)
	in.Reset(orderEvent(`{"n":11}`))
	ok, problem := p.Match(in)
	require.False(t, ok)
	require.Empty(t, problem)
}

func TestDataOfEveryKind(t *testing.T) {
	t.Parallel()
	for data, expression := range map[string]string{
		`null`: `data == null`, `3`: `data == 3`, `"a"`: `data == "a"`, `[1,"b"]`: `data[1] == "b"`, `true`: `data`, `{}`: `size(data) == 0`,
		`1e1`: `data == 10`, `-0.0`: `data == 0`, `1.5e0`: `data == 1.5`, `-9223372036854775808`: `data < 0`, `184467440737095516150`: `data > 1e19`,
		` {"a":{"b":[{"c":1}]}} `: `data.a.b[0].c == 1`, //nolint:gocritic // with spaces around
	} {
		p, err := Compile(expression)
		require.NoError(t, err)
		ok, problem, text := p.Explain(NewInput(orderEvent(data)))
		require.True(t, ok, "%s: %s: %s %s", data, expression, problem, text)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, want string }{
		{"", "filter: empty: want an expression, such as data.amount > 100"},
		{" \n", "filter: empty: want an expression, such as data.amount > 100"},
		{"dta == 1", "filter: 1:1: undeclared reference to 'dta'"},
		{"true &&\n  foo(1)", "filter: 2:6: undeclared reference to 'foo'"},
		{"dta == 1", "want data, type, id, source, time, channels"},
		{"1 +", "filter: 1:4: Syntax error"},
		{`"a"`, "filter: 1:1: gives string: want a truth value"},
		{`type > 3`, "filter: 1:6: found no matching overload for '_>_' applied to '(string, int)'"},
		{`data.t.matches("(")`, "filter: 1:16: invalid matches argument"},
		{`timestamp("x") < time`, "filter: 1:11: invalid timestamp argument"},
		{`data.t.matches("(a{30}){30}")`, "exceeds limit"},
		{strings.Repeat("a", MaxExpression+1), "filter: 4097 bytes: want at most 4096"},
		{strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60), "recursion limit exceeded"},
		{strings.Repeat("[", 4000), "recursion limit exceeded"},
		{`data.a.all(a, data.a.all(b, data.a.all(c, true)))`, "fewer macros within each other"},
		{`data.a.replace("a", data.b).replace("b", data.a) == ""`, "filter: would cost"},
	} {
		p, err := Compile(c.expression)
		require.Nil(t, p)
		require.ErrorContains(t, err, c.want, c.expression)
		refused, ok := errors.AsType[*subscription.FieldError](err)
		require.True(t, ok)
		require.Equal(t, "filter", refused.Field)
		require.LessOrEqual(t, len(err.Error()), 600)
		require.NotContains(t, err.Error(), "\n")
	}
}

const (
	orderSchema = `{"$defs":{"person":{"type":"object","properties":{"email":{"type":"string"},"boss":{"$ref":"#/$defs/person"}}}},
	 "type":"object","properties":{"amount":{"type":"number"},"count":{"type":"integer"},"currency":{"type":"string"},"at":{"type":"string","format":"date-time"},
	 "paid":{"type":"boolean"},"items":{"type":"array","items":{"type":"object","properties":{"sku":{"type":"string"}}}},
	 "customer":{"$ref":"#/$defs/person"},"labels":{"type":"object","additionalProperties":{"type":"string"}},"note":{"type":["string","null"]},
	 "extra":{"type":"object","additionalProperties":true,"properties":{"a":{"type":"string"}}},"any":{},"free":{"type":"object"},"pair":{"type":"array","prefixItems":[{}]},
	 "either":{"anyOf":[{"type":"string"},{"type":"integer"}]},"first-name":{"type":"string"},"closed":{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}}}`
	contactSchema = `{"type":"object","properties":{"email":{"type":"string"},"amount":{"type":"string"}}}`
)

func TestCheck(t *testing.T) {
	t.Parallel()
	order := map[string]json.RawMessage{"order.created": json.RawMessage(orderSchema)}
	both := map[string]json.RawMessage{"order.created": json.RawMessage(orderSchema), "contact.created": json.RawMessage(contactSchema)}
	open := map[string]json.RawMessage{"order.created": json.RawMessage(orderSchema), "a": nil}
	for _, c := range []struct {
		schemas          map[string]json.RawMessage
		expression, want string
	}{
		{order, `data.amount > 10 && data.amount == 10 && data.amount in [10, 20] && data.amount < 10.5 && 1.5 != data.amount`, ""},
		{order, `data.count == 10.0 || data.count > 2.5 || data.amount > data.count || data.count in [1.5]`, ""},
		{order, `double(data.amount) * 1.5 > 3.0 && data.count + 1 > 2 && string(data.amount) == "1"`, ""},
		{order, `data.amount * 1.5 > 3.0`, "filter: 1:13: found no matching overload for '_*_' applied to '(number, double)' (of order.created)"},
		{order, `data.amount == "10"`, "found no matching overload for '_==_' applied to '(number, string)'"},
		{order, `data.count == "10"`, "found no matching overload for '_==_' applied to '(int, string)'"},
		{order, `data.currency in ["EUR"] && data.at.startsWith("2026") && timestamp(data.at) < time`, ""},
		{order, `data.paid`, ""},
		{order, `data.currency`, "filter: 1:1: gives string: want a truth value"},
		{order, `data.amout > 10`, `filter: 1:5: data has no field "amout": did you mean amount?`},
		{order, `has(data.amout)`, `data has no field "amout": did you mean amount?`},
		{order, `data.items.exists(i, i.skew == "a")`, `filter: 1:23: data.items[] has no field "skew": did you mean sku?`},
		{order, `data.closed.zzzzz == "a"`, `data.closed has no field "zzzzz": want a`},
		{order, `data.customer.boss.boss.email == "a"`, ""},
		{order, `data.customer.mail == "a"`, `data.customer has no field "mail": did you mean email?`},
		{order, `data.labels.whatever == "a" && data.labels["b"].startsWith("c")`, ""},
		{order, `data.labels.whatever == 1`, "(string, int)"},
		{order, `data.note == null || data.note == "a" || data.extra.b == 1 || data.any.thing == 2 || data.free.x || data.pair[0] == 1 || data.either == 3`, ""},
		{order, "data.`first-name` == 'a' && data['first-name'] == 'a' && 'x' in data && size(data) > 2", ""},
		{order, `type == "a" && "b" in channels`, ""},
		{order, `dta == 1`, "undeclared reference"},
		{both, `data.email == "a"`, ""},
		{both, `data.currency == "SEK"`, ""},
		{both, `data.emial == "a"`, `data has no field "emial": did you mean email?`},
		{both, `data.email == "a" && data.currency == "SEK"`, "fits none of the event types: contact.created: 1:"},
		{both, `data.amount > 10`, ""},
		{both, `data.amount > true`, "fits none of the event types: contact.created: 1:13: found no matching overload"},
		{open, `data.whatever == 1`, ""},
		{nil, `data.whatever == 1`, ""},
		{map[string]json.RawMessage{"a": json.RawMessage(`{`)}, `data.whatever == 1`, ""},
		{map[string]json.RawMessage{"a": json.RawMessage(`true`)}, `data.whatever == 1`, ""},
		{map[string]json.RawMessage{"a": json.RawMessage(`{"$ref":"#/$defs/x"}`)}, `data.whatever == 1`, ""},
		{map[string]json.RawMessage{"a": json.RawMessage(`{"type":"array","items":{"type":"integer"}}`)}, `data.exists(i, i == 2)`, ""},
		{map[string]json.RawMessage{"a": json.RawMessage(`{"type":"array","items":{"type":"integer"}}`)}, `data.exists(i, i == "2")`, "(int, string)"},
	} {
		err := Check(c.expression, c.schemas)
		if c.want == "" {
			require.NoError(t, err, c.expression)
			continue
		}
		require.ErrorContains(t, err, c.want, c.expression)
		_, ok := errors.AsType[*subscription.FieldError](err)
		require.True(t, ok)
	}
}

// A schema that refers to itself twice in every object would double with each level.
func TestCheckIsBounded(t *testing.T) {
	t.Parallel()
	schema := `{"$defs":{"n":{"type":"object","properties":{"l":{"$ref":"#/$defs/n"},"r":{"$ref":"#/$defs/n"},"v":{"type":"string"}}}},"$ref":"#/$defs/n"}`
	schemas := map[string]json.RawMessage{"a": json.RawMessage(schema)}
	require.NoError(t, Check(`data.l.r.v == "a"`, schemas))
	require.ErrorContains(t, Check(`data.x`, schemas), `data has no field "x"`)
	s, _ := newSchemaTypes(json.RawMessage(schema))
	require.Len(t, s.objects, maxObjects)
}

func TestCache(t *testing.T) {
	t.Parallel()
	c := Cache{limit: 3}
	_, err := c.Get("")
	require.ErrorIs(t, err, ErrNone)
	a, err := c.Get("data.a == 1")
	require.NoError(t, err)
	b, err := c.Get("data.a == 1")
	require.NoError(t, err)
	require.Same(t, a, b)
	_, err = c.Get("1 +")
	require.Error(t, err)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 20 {
				p, err := c.Get(fmt.Sprintf("data.a == %d", (i+j)%5))
				if err != nil {
					t.Error(err)
					return
				}
				if ok, problem := p.Match(NewInput(orderEvent(fmt.Sprintf(`{"a":%d}`, (i+j)%5)))); !ok || problem != "" {
					t.Errorf("%d %d: %t %s", i, j, ok, problem)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, len(c.entries), 3)
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`data.amount > 10`, `data.items.exists(i, i.sku == "X")`, `"a".replace("a", data.b)`, `data.a.matches("(a+)+b")`, `[[[[`, "data.`x y`", `1 +`, "\xff",
		`data.long.join(data.long)`, `[1,2].all(a, [1,2].all(b, a < b))`, `"%s".format([data])`, `data.a ? data.b : type(data) == int`,
	} {
		f.Add(s)
	}
	in := orderEvent(strings.TrimSuffix(orderData, "}") + `,"a":"` + strings.Repeat("ab", 2000) + `","b":"` + strings.Repeat("a", 2000) + `"}`)
	schemas := map[string]json.RawMessage{"a": json.RawMessage(orderSchema)}
	f.Fuzz(func(t *testing.T, expression string) {
		started := time.Now()
		p, err := Compile(expression)
		if (p == nil) != (err != nil) {
			t.Fatal("neither a program nor an error")
		}
		if err != nil {
			if _, ok := errors.AsType[*subscription.FieldError](err); !ok {
				t.Fatalf("no FieldError: %v", err)
			}
			return
		}
		if ok, problem := p.Match(NewInput(in)); ok && problem != ProblemNone {
			t.Fatal("matches with a problem")
		}
		_ = Check(expression, schemas)
		if took := time.Since(started); took > 10*time.Second { // not a measure: what is not bounded takes minutes
			t.Fatalf("took %s", took)
		}
	})
}

// A guarded call is refused before it starts: the cost is counted afterwards only.
func TestGuards(t *testing.T) {
	t.Parallel()
	e, err := theEnvironment()
	require.NoError(t, err)
	overloads, err := guards(e.env)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(overloads), 8)
	long := types.String(strings.Repeat("a", maxText))
	for _, o := range overloads {
		var got ref.Val
		switch {
		case o.Binary != nil:
			got = o.Binary(long, long)
		case o.Function != nil:
			got = o.Function(long, long, long, types.Int(1))
		default:
			continue // join without a separator, and the function's own name
		}
		require.True(t, types.IsError(got), o.Operator)
		require.ErrorContains(t, got.(error), "too long for this function", o.Operator)
	}
}
