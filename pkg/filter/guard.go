package filter

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

const (
	// maxText is the longest text of the data that expressions see, in bytes. Together with maxRegexp it bounds the call
	// that a cost limit comes too late for.
	maxText = 64 << 10
	// maxWork bounds the product of the sizes of a guarded call's arguments.
	maxWork = 4 << 20
)

// guarded are the functions whose work or result grows with the product of the sizes of their arguments. The library
// counts the cost of a call once it is done, and one replace could make a terabyte of two texts.
var guarded = []string{"indexOf", "lastIndexOf", "replace", "join"} //nolint:gochecknoglobals // a table

// guards returns the functions of env that are guarded, with their guards.
func guards(env *cel.Env) ([]*functions.Overload, error) {
	var out []*functions.Overload
	for _, name := range guarded {
		bindings, err := env.Functions()[name].Bindings()
		if err != nil {
			return nil, fmt.Errorf("guarding %s: %w", name, err)
		}
		for _, b := range bindings {
			out = append(out, guard(b))
		}
	}
	return out, nil
}

func guard(o *functions.Overload) *functions.Overload {
	g := *o
	if o.Binary != nil {
		g.Binary = func(a, b ref.Val) ref.Val {
			if err := tooMuch(a, b); err != nil {
				return err
			}
			return o.Binary(a, b)
		}
	}
	if o.Function != nil {
		g.Function = func(args ...ref.Val) ref.Val {
			if err := tooMuch(args...); err != nil {
				return err
			}
			return o.Function(args...)
		}
	}
	return &g
}

// tooMuch returns an error if a call with these arguments might be long.
func tooMuch(args ...ref.Val) ref.Val {
	work := 1
	for _, a := range args {
		if work *= size(a) + 1; work > maxWork {
			return types.NewErr("texts or lists are too long for this function")
		}
	}
	return nil
}

func size(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case traits.Lister:
		if n, ok := v.Size().(types.Int); ok {
			return int(n)
		}
	}
	return 0
}
