package filter

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/pkg/subscription"
)

// Conditions are a subscription filter in the form of Dixa's API: an event passes if all or any of them hold.
type Conditions struct {
	// Strategy is All or Any.
	Strategy   string
	Conditions []Condition
}

// Condition compares one property of a conversation with a list.
type Condition struct {
	// Operator is IsOneOf or IsNotOneOf. A conversation without the property is in no list, so IsNotOneOf holds.
	Operator string
	// Field is InitialChannel, QueueId or OperationOrigin.
	Field  string
	Values []string
}

// Limits of conditions. Besides, the expression that they make is one of [MaxExpression] bytes at most.
const (
	MaxConditions = 20
	MaxValues     = 50
)

// conditionFields are the steps of the path in the data at which the fields of conditions are. Of the origin Dixa's
// documents do not tell the place; this one is our choice.
var conditionFields = map[string][]string{ //nolint:gochecknoglobals // a table
	"InitialChannel":  {"conversation", "channel"},
	"QueueId":         {"conversation", "queue", "id"},
	"OperationOrigin": {"conversation", "operation_origin"},
}

// Expression returns c in CEL. Errors are [*subscription.FieldError] with paths such as conditions[0].field.
func (c Conditions) Expression() (string, error) {
	var join string
	switch c.Strategy {
	case "All":
		join = " && "
	case "Any":
		join = " || "
	default:
		return "", &subscription.FieldError{Field: "strategy", Detail: fmt.Sprintf("%q: want All or Any", c.Strategy)}
	}
	if n := len(c.Conditions); n < 1 || n > MaxConditions {
		return "", &subscription.FieldError{Field: "conditions", Detail: fmt.Sprintf("%d: want 1 to %d", n, MaxConditions)}
	}
	terms := make([]string, 0, len(c.Conditions))
	for i, condition := range c.Conditions {
		term, err := condition.expression(fmt.Sprintf("conditions[%d].", i))
		if err != nil {
			return "", err
		}
		terms = append(terms, term)
	}
	return strings.Join(terms, join), nil
}

func (c Condition) expression(at string) (string, error) {
	path, ok := conditionFields[c.Field]
	if !ok {
		known := slices.Sorted(maps.Keys(conditionFields))
		return "", &subscription.FieldError{Field: at + "field", Detail: fmt.Sprintf("%q: want one of %v", c.Field, known)}
	}
	if n := len(c.Values); n < 1 || n > MaxValues {
		return "", &subscription.FieldError{Field: at + "values", Detail: fmt.Sprintf("%d: want 1 to %d", n, MaxValues)}
	}
	quoted := make([]string, 0, len(c.Values))
	for _, v := range c.Values {
		quoted = append(quoted, strconv.QuoteToASCII(v))
	}
	in := varData + "." + strings.Join(path, ".") + " in [" + strings.Join(quoted, ", ") + "]"
	switch c.Operator {
	case "IsOneOf":
		return in, nil
	case "IsNotOneOf":
		return "(" + absent(path) + " || !(" + in + "))", nil
	}
	return "", &subscription.FieldError{Field: at + "operator", Detail: fmt.Sprintf("%q: want IsOneOf or IsNotOneOf", c.Operator)}
}

// absent holds if a step of the path is missing or null. CEL's || holds if one side does, though the other is an error, as
// the steps after a missing one are.
func absent(path []string) string {
	var terms []string
	for i := range path {
		step := varData + "." + strings.Join(path[:i+1], ".")
		terms = append(terms, "!has("+step+")", step+" == null")
	}
	return strings.Join(terms, " || ")
}
