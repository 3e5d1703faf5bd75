package delivery

import (
	"strconv"

	"github.com/postrider/postrider/pkg/ident"
)

// AttemptPrefix is that of the written form of an attempt's id.
const AttemptPrefix = "atmpt_"

// AttemptID returns the id of an attempt, counted from 1 under its trigger: the same wherever it is told about.
func AttemptID(id ident.ID, trigger Trigger, attempt int) ident.ID {
	return ident.Derive("postrider/attempt", id.UUID(), string(trigger.Kind), trigger.ID, strconv.Itoa(attempt))
}
