// Package filter decides with a CEL expression whether a subscription wants an event.
//
// An expression gives a truth value and knows the variables
//
//	data      the event's data, if it is JSON
//	type      the event type, a string
//	id        the event's id, a string
//	source    the event's source, a string
//	time      when it happened, a timestamp
//	channels  the event's channels, a list of strings
//
// and the standard functions and macros of CEL (https://cel.dev) with its extension for strings:
//
//	data.amount > 100 && data.currency in ["EUR", "SEK"]
//	has(data.customer) && data.customer.email.endsWith("@example.com")
//	data.items.exists(i, i.sku.startsWith("X-"))
//	type == "order.created" || "vip" in channels
//
// Integers in the data are integers as far as they fit 64 bits, all other numbers are doubles; they compare with each
// other whatever they are, but arithmetic wants one kind: double(data.amount) * 1.5. A field whose name is no
// identifier is written data.`first-name`.
//
// An expression that cannot be evaluated for an event (a field is missing, or is of another type) does not match it: ask
// has(data.customer) first. So it is with texts of more than 64 KiB. Why is a [Problem].
//
// [Compile] is what an expression has to pass to be stored, [Check] looks besides whether its fields are in the schemas
// of the events, [Cache] keeps what was compiled, and [Program.Match] evaluates. The package does no I/O and has no clock.
package filter

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/postrider/postrider/pkg/subscription"
)

// Limits of expressions.
const (
	// MaxExpression is the longest expression, in bytes.
	MaxExpression = 4096
	// MaxCost bounds one evaluation, in the units of CEL's cost model: a step is one, ten bytes of text that are looked at
	// are one. BenchmarkCost measures a unit: 0.9 to 2.3 µs of CPU time on two cores that many others shared. So an
	// evaluation is over after some milliseconds, 25 at the worst, whatever the expression and the data. It is counted
	// while evaluating, and estimated when an expression is written.
	MaxCost = 10_000
	// typicalList and typicalText are how many elements and bytes the lists, maps and texts of an event's data are taken
	// to have when the cost is estimated. Larger ones are bounded by the count while evaluating.
	typicalList = 100
	typicalText = 100
	// maxNesting bounds the depth of an expression; the parser, the checker and the evaluation recurse.
	maxNesting = 50
	// maxNodes bounds an expression with its macros written out: macros within macros multiply.
	maxNodes = 2000
	// maxRegexp bounds the compiled form of a regular expression: a{1000} is short and has thousands of instructions.
	maxRegexp = 200
	// stringsVersion is the version of the extension for strings: the first whose functions have costs.
	stringsVersion = 5
)

// field is what the errors of this package call the expression: its field in a subscription.
const field = "filter"

// Names of the variables.
const (
	varData     = "data"
	varType     = "type"
	varID       = "id"
	varSource   = "source"
	varTime     = "time"
	varChannels = "channels"
)

var variables = []string{varData, varType, varID, varSource, varTime, varChannels} //nolint:gochecknoglobals // a table

// options are those of every environment but for the type of data.
func options(data *cel.Type) []cel.EnvOption {
	return []cel.EnvOption{
		ext.Strings(ext.StringsVersion(stringsVersion)),
		cel.Variable(varData, data),
		cel.Variable(varType, cel.StringType),
		cel.Variable(varID, cel.StringType),
		cel.Variable(varSource, cel.StringType),
		cel.Variable(varTime, cel.TimestampType),
		cel.Variable(varChannels, cel.ListType(cel.StringType)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EnableIdentifierEscapeSyntax(),
		cel.ParserRecursionLimit(maxNesting),
		cel.ParserExpressionSizeLimit(MaxExpression),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxRegexp),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals(),
		),
	}
}

// environment is what programs run in: data is whatever it is.
type environment struct {
	env  *cel.Env
	opts []cel.ProgramOption
}

// theEnvironment takes a millisecond to make.
var theEnvironment = sync.OnceValues(func() (environment, error) { //nolint:gochecknoglobals // made once, immutable
	env, err := cel.NewEnv(options(cel.DynType)...)
	if err != nil {
		return environment{}, err
	}
	guarded, err := guards(env)
	return environment{env: env, opts: []cel.ProgramOption{
		cel.EvalOptions(cel.OptOptimize), cel.CostLimit(MaxCost),
		cel.Functions(guarded...), //nolint:staticcheck // the way to replace the code of functions that are declared already
	}}, err
})

// Program is a compiled expression. It may be used concurrently.
type Program struct {
	expression string
	program    cel.Program
}

// Expression returns what p was compiled from.
func (p *Program) Expression() string { return p.expression }

// Compile compiles an expression. What is wrong with it is a [*subscription.FieldError] of the field "filter" that says
// where, as line:column, and what is allowed.
func Compile(expression string) (*Program, error) {
	e, err := theEnvironment()
	if err != nil {
		return nil, fmt.Errorf("making the environment of filters: %w", err)
	}
	checked, err := compile(e.env, expression)
	if err != nil {
		return nil, err
	}
	estimate, err := e.env.EstimateCost(checked, typical{})
	if err != nil {
		return nil, fmt.Errorf("estimating the cost of a filter: %w", err)
	}
	if estimate.Max > MaxCost {
		return nil, refuse("would cost %s at data with %d elements in a list and %d bytes in a text: want at most %d: fewer"+
			" macros within each other, or shorter regular expressions", costText(estimate.Max), typicalList, typicalText, MaxCost)
	}
	program, err := e.env.Program(checked, e.opts...)
	if err != nil {
		return nil, refuse("%s", oneLine(err.Error()))
	}
	return &Program{expression: expression, program: program}, nil
}

// compile parses and checks an expression in an environment.
func compile(env *cel.Env, expression string) (*cel.Ast, error) {
	switch {
	case strings.TrimSpace(expression) == "":
		return nil, refuse("empty: want an expression, such as data.amount > 100")
	case len(expression) > MaxExpression:
		return nil, refuse("%d bytes: want at most %d", len(expression), MaxExpression)
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, explain(issues.Errors())
	}
	return checked, checkResult(checked)
}

// checkResult refuses what cannot be a truth value. What is dyn may be one: data.vip.
func checkResult(checked *cel.Ast) error {
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return refuse("1:1: gives %s: want a truth value, such as data.amount > 100", cel.FormatCELType(t))
	}
	return nil
}

func refuse(format string, args ...any) *subscription.FieldError {
	return &subscription.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)}
}

// explain returns the first of the issues; the others often follow from it. There is at least one.
func explain(issues []*cel.Error) error {
	first := issues[0]
	text := oneLine(first.Message)
	if line := first.Location.Line(); line > 0 {
		text = fmt.Sprintf("%d:%d: %s", line, first.Location.Column()+1, text)
	}
	if strings.HasPrefix(first.Message, "undeclared reference") {
		text += ": want " + strings.Join(variables, ", ") + ", and functions of CEL"
	}
	return refuse("%s", text)
}

// maxDetail bounds what is passed on of the library's texts, in bytes: a syntax error may list all tokens there are.
const maxDetail = 400

func oneLine(s string) string {
	s = strings.ReplaceAll(s, " (in container '')", "")
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxDetail {
		s = strings.ToValidUTF8(s[:maxDetail], "") + "…"
	}
	return s
}

// ErrNone is what [Cache.Get] returns for the empty expression; such a subscription has no filter.
var ErrNone = errors.New("there is no filter")
