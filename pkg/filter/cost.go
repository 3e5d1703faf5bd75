package filter

import (
	"math"
	"strconv"

	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
)

// typical estimates the cost of an expression at typical data.
type typical struct{}

var _ cost.Estimator = typical{}

// EstimateSize implements [cost.Estimator]. What an expression says itself has its own size.
func (typical) EstimateSize(element cost.AstNode) *cost.SizeEstimate {
	if element.ComputedSize() != nil {
		return nil
	}
	size := cost.RangedSizeEstimate(0, typicalList)
	if element.Type() != nil && element.Type().Kind() == types.StringKind {
		size = cost.RangedSizeEstimate(0, typicalText)
	}
	return &size
}

// EstimateCallCost implements [cost.Estimator]; the library knows all functions there are.
func (typical) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

func costText(units uint64) string {
	if units == math.MaxUint64 {
		return "more than can be counted"
	}
	return strconv.FormatUint(units, 10)
}
