package filter

import (
	"errors"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// Problem says why an expression could not be evaluated for an event. It is a closed set, and a label of metrics.
type Problem string

// Problems. Whatever the problem, the expression does not match.
const (
	// ProblemNone: it was evaluated.
	ProblemNone Problem = ""
	// ProblemError: a field is missing or of another type, or the value is no truth value.
	ProblemError Problem = "error"
	// ProblemCost: it took more than [MaxCost].
	ProblemCost Problem = "cost"
	// ProblemNotJSON: it looks at data that is not JSON.
	ProblemNotJSON Problem = "not_json"
)

// Problems returns all problems but [ProblemNone].
func Problems() []Problem { return []Problem{ProblemError, ProblemCost, ProblemNotJSON} }

// Match reports whether the expression is true for the event. The input is decoded if the expression asks for the data
// and no other did before; p may be used concurrently, in may not.
func (p *Program) Match(in *Input) (bool, Problem) {
	ok, problem, _ := p.Explain(in)
	return ok, problem
}

// Explain is [Program.Match] and says, if there is a problem, what the evaluation said: a text for people that may hold
// names of fields.
func (p *Program) Explain(in *Input) (bool, Problem, string) {
	in.refused = false
	out, _, err := p.program.Eval(in)
	if err != nil {
		return false, in.problem(err), oneLine(err.Error())
	}
	if ok, isBool := out.(types.Bool); isBool {
		return bool(ok), ProblemNone, ""
	}
	return false, ProblemError, "gives " + out.Type().TypeName() + ": want a truth value"
}

// problem classifies the error of an evaluation that asked for in.
func (in *Input) problem(err error) Problem {
	if cancelled, ok := errors.AsType[interpreter.EvalCancelledError](err); ok && cancelled.Cause == interpreter.CostLimitExceeded {
		return ProblemCost
	}
	if in.refused {
		return ProblemNotJSON
	}
	return ProblemError
}
