// Package transform makes of an event the request that an endpoint wants, with a program in jq that belongs to the
// subscription.
//
// The input of a program is one object, as Svix gives it to a transformation's handler, with three fields more:
//
//	{
//	  "method": "POST",
//	  "url": "https://shop.example/hooks",
//	  "eventType": "order.created",
//	  "payload": {"order": 1},             the event's data
//	  "headers": {},
//	  "id": "msg_2yZ…",
//	  "timestamp": "2026-05-01T10:00:00Z"  when it happened, not when it is sent
//	}
//
// Its output is one such object too, which tells what is sent:
//
//	.payload |= {order: .id, total: (.lines | map(.price) | add)}
//	.method = "PUT" | .url += "/\(.payload.id)"
//	.headers["X-Shop"] = .payload.shop
//	if .payload.test then .cancel = true else . end
//	{payload: {text: "Order \(.payload.id)"}}
//
// What the subscription has as variables, all of them texts, is the object $variables: .headers["X-Shop"] = $variables.shop.
//
// Of the output, payload is any JSON, method is POST or PUT, headers are strings, url is an https URL, and cancel: true
// means that nothing is sent and the event counts as delivered. What is left out stays as it was. eventType, id and
// timestamp cannot be changed, other fields are refused, and so are no output and more than one: to send nothing is to say
// cancel, not empty.
//
// # Functions
//
// A body must be the same for every try, so nothing of a program depends on when or where it runs: there are no now,
// localtime, strflocaltime, input, inputs, debug, stderr, input_filename, input_line_number, env, $ENV, $__prog_args,
// $__loc__, modules, halt and halt_error, no %Z in strptime. The functions of jq that there are:
//
//	of values   empty error not select type length keys has in map map_values walk recurse path paths getpath setpath
//	            delpaths del pick to_entries from_entries with_entries first last nth limit skip range while until repeat
//	            isempty any all IN INDEX arrays objects iterables booleans numbers finites normals strings nulls values
//	            scalars add min max min_by max_by sort sort_by group_by unique unique_by reverse flatten transpose
//	            contains inside index rindex indices
//	of texts    tostring tonumber toboolean tojson fromjson ascii_downcase ascii_upcase startswith endswith ltrimstr
//	            rtrimstr trimstr trim ltrim rtrim split splits join explode implode utf8bytelength format and @text @json
//	            @csv @tsv @html @uri @sh @base64 @base64d, test match capture scan sub gsub (RE2 syntax)
//	of numbers  abs floor ceil round trunc rint nearbyint fabs sqrt pow log log2 log10 exp exp2 exp10 modf fmin fmax fmod
//	            infinite nan isinfinite isfinite isnan isnormal
//	of times    gmtime mktime strftime strptime todate fromdate todateiso8601 fromdateiso8601, in UTC
//
// sub and gsub take the first output of the replacement. Names that start with _ are this package's.
//
// # What is kept
//
// Payloads are written as compact JSON. A number that the program does not compute with keeps its text, and integers are
// exact whatever their size; other numbers that are computed with become doubles. Not kept are the order of an object's
// members, which is that of their names, all but the last of members with the same name, white space and escapes, and text
// that is not UTF-8. log, pow and their like may differ in the last bit between processor architectures, as Go's do.
//
// # Bounds
//
// A run may do [MaxWork], which is counted by instructions and by the sizes of what they touch, so a program ends at the
// same place on every machine; [MaxTime] is for what the count gets wrong. What a run allocates is bounded by its work:
// TestHostile measures 21 MiB at most for an eighth of MaxWork, garbage too. So bound how many run at a time. Texts,
// indices, integers and nesting have limits as well.
// The package does no I/O, starts no goroutine and has no clock but that of a timeout.
package transform

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/postrider/postrider/pkg/subscription"
)

// Limits of programs and their runs.
const (
	// MaxSource is the longest program, in bytes.
	MaxSource = subscription.MaxCode
	// MaxWork bounds one run, in units of work. BenchmarkWork measures a unit: 6 to 400 ns on two cores that many others
	// shared, where a run ended within 0.4 s, whatever the program and the event.
	MaxWork = 1_000_000
	// MaxTime bounds one run by the clock. It is a multiple of what MaxWork takes, for machines that are busy.
	MaxTime = 5 * time.Second
	// MaxPayload is the longest payload that a program makes, in bytes: an event's own limit.
	MaxPayload = 1 << 20
	// MaxIndex is one more than the greatest index of an array that a program may name.
	MaxIndex = 1 << 17
	// MaxDepth bounds how deep values are nested.
	MaxDepth = 500
	// maxText is the longest text that a program makes on its way, in bytes.
	maxText = 4 << 20
	// maxBits bounds integers; 4096 bits are 1233 digits.
	maxBits = 4096
	// maxShort bounds the text of numbers, and of formats of times, in bytes.
	maxShort = 1024
	// maxNodes and maxNesting bound a parsed program.
	maxNodes   = 8000
	maxNesting = 200
)

// Program is a compiled transformation. It is safe for concurrent use.
type Program struct {
	source    string
	query     *gojq.Query
	literals  map[string]bool // the texts that stand in the source
	work      int             // MaxWork
	timeout   time.Duration   // MaxTime
	instances sync.Pool
}

// instance is a program that one run at a time uses: the interpreter may write to the constants of its code.
type instance struct {
	code     *gojq.Code
	meter    meter
	patterns patterns
}

// Source returns what p was compiled from.
func (p *Program) Source() string { return p.source }

// Compile compiles a program of 1 to [MaxSource] bytes. What is wrong with it is a [*SyntaxError].
func Compile(source string) (*Program, error) {
	switch {
	case strings.TrimSpace(source) == "":
		return nil, invalid("missing: want a program in jq, for example .payload |= {id}")
	case len(source) > MaxSource:
		return nil, invalid("%d bytes: want at most %d", len(source), MaxSource)
	case !utf8.ValidString(source):
		return nil, invalid("is not UTF-8")
	}
	q, err := gojq.Parse(source)
	if err != nil {
		return nil, parseError(source, err)
	}
	query, literals, err := rewrite(q)
	if err != nil {
		return nil, err
	}
	p := &Program{source: source, query: query, literals: literals, work: MaxWork, timeout: MaxTime}
	i, err := p.instance()
	if err != nil {
		return nil, invalid("%s", err)
	}
	p.instances.Put(i)
	return p, nil
}

// instance returns one that is not in use.
func (p *Program) instance() (*instance, error) {
	if i, ok := p.instances.Get().(*instance); ok {
		return i, nil
	}
	i := &instance{patterns: patterns{}}
	code, err := gojq.Compile(p.query, i.options()...)
	i.code = code
	return i, err
}

// variables is what programs call those of the subscription.
const variables = "$variables"

// options bind the functions of this package to i.
func (i *instance) options() []gojq.CompilerOption {
	options := []gojq.CompilerOption{gojq.WithVariables([]string{variables})}
	for _, f := range functions {
		options = append(options, gojq.WithFunction(f.name, f.args, f.args, func(v any, args []any) any {
			return f.run(i, v, args)
		}))
	}
	for _, op := range operators {
		options = append(options, gojq.WithFunction(op.name, 2, 2, func(_ any, args []any) any {
			return op.run(&i.meter, args[0], args[1])
		}))
	}
	for n := freeNodes; n <= 2*maxNodes; n *= 2 {
		options = append(options, gojq.WithFunction(toll(n), 0, 0, func(v any, _ []any) any {
			if err := i.meter.spend(n); err != nil {
				return err
			}
			return v
		}))
	}
	return options
}

// Run runs the program with an event. That it makes no request of it is an [*Error]; any other error is that of ctx.
func (p *Program) Run(ctx context.Context, in Input) (Output, error) {
	input, refused := in.value()
	if refused != nil {
		return Output{}, refused
	}
	i, err := p.instance()
	if err != nil {
		return Output{}, fmt.Errorf("compiling a transformation: %w", err)
	}
	value, err := p.run(ctx, i, input, in.variables())
	var known *Error
	switch {
	case err == nil:
	case errors.As(err, &known):
		return Output{}, known
	default:
		return Output{}, fmt.Errorf("running a transformation: %w", err)
	}
	return in.output(value)
}

// run returns the only output of the program, which is no deeper and no larger than the meter allows.
func (p *Program) run(ctx context.Context, i *instance, input, vars any) (value any, err error) {
	timed, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	i.meter.start(timed, p.work)
	defer func() {
		if r := recover(); r != nil { // the interpreter's own mistake: i is not used again
			value, err = nil, &Error{Kind: KindRuntime, Detail: "the interpreter cannot run this program"}
			return
		}
		i.meter.parent = nil
		p.instances.Put(i)
	}()
	iter := i.code.RunWithContext(&i.meter, input, vars) //nolint:contextcheck // the meter hands timed on
	v, some := iter.Next()
	if err := p.outcome(ctx, i, v); err != nil {
		return nil, err
	}
	if !some {
		return nil, &Error{Kind: KindOutput, Detail: "no output: want exactly one; to send nothing, want {cancel: true}"}
	}
	second, more := iter.Next()
	if err := p.outcome(ctx, i, second); err != nil {
		return nil, err
	}
	if more {
		return nil, &Error{Kind: KindOutput, Detail: "more than one output: want exactly one"}
	}
	return v, i.meter.spendDeep(v, 1)
}

// outcome returns why a run ended after it returned v, or nil if it did not.
func (p *Program) outcome(ctx context.Context, i *instance, v any) error {
	switch ended := i.meter.err; {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(ended, context.DeadlineExceeded):
		return &Error{Kind: KindTimeout, Detail: fmt.Sprintf("took longer than %s", p.timeout)}
	case ended != nil:
		return ended
	}
	if err, ok := v.(error); ok {
		return p.runtimeError(err)
	}
	return nil
}
