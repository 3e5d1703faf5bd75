package api

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/registry"
)

// WaitInput is of every write.
type WaitInput struct {
	Wait string `query:"wait" enum:"applied" doc:"applied: answer once every live role has the change, at most ten seconds later; see the answer's postrider-applied."`
}

// WriteInput is of every write to what exists.
type WriteInput struct {
	WaitInput
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that the change is meant for; 412 if it has another one."`
}

// conditional reports whether the caller named a version.
func (in WriteInput) conditional() bool { return in.IfMatch != "" && in.IfMatch != "*" }

// matches refuses a write that is meant for another version.
func (in WriteInput) matches(version int64) error {
	if in.IfMatch == "*" && version == 0 || in.conditional() && strings.TrimPrefix(in.IfMatch, "W/") != etag(version) {
		return writeError(&registry.ConflictError{Expected: -1, Actual: version}, true)
	}
	return nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func answerList[T any](l *List[T], err error) (*answer[List[T]], error) {
	if err != nil {
		return nil, err
	}
	return &answer[List[T]]{Body: *l}, nil
}

const (
	// waitApplied bounds ?wait=applied: a change is with every role after about a second.
	waitApplied = 10 * time.Second
	// maxAgain bounds how often a change is made again on top of somebody else's.
	maxAgain = 50
)

// Values of the header postrider-applied.
const (
	appliedAll     = "all"     // every live role has it
	appliedWaiting = "waiting" // not all of them had it in time; they will
	appliedNone    = "none"    // no role is live
	appliedUnknown = "unknown" // Redis, where they report, is away
)

// apply writes changes and waits as the caller wants; it returns the value of the header postrider-applied.
func (a *API) apply(ctx context.Context, change registry.Change, wait WaitInput, conditional bool) (string, error) {
	return a.applyAll(ctx, []registry.Change{change}, wait, conditional)
}

func (a *API) applyAll(ctx context.Context, changes []registry.Change, wait WaitInput, conditional bool) (string, error) {
	done, err := a.opts.Store.Apply(ctx, called(ctx).actor, changes...)
	if err != nil {
		return "", writeError(err, conditional)
	}
	if wait.Wait == "" {
		return "", nil
	}
	waiting, cancel := context.WithTimeout(ctx, waitApplied)
	defer cancel()
	n, err := a.opts.Presence.WaitApplied(waiting, done.Version)
	switch {
	case err == nil && n == 0:
		return appliedNone, nil
	case err == nil:
		return appliedAll, nil
	case waiting.Err() != nil:
		return appliedWaiting, nil
	}
	return appliedUnknown, nil // the change is made; that nobody can say who has it does not undo it
}

func (a *API) remove(ctx context.Context, change registry.Change, wait WaitInput, conditional bool) (*answer[nothing], error) {
	applied, err := a.apply(ctx, change, wait, conditional)
	if conflict, ok := errors.AsType[*registry.ConflictError](err); ok && conflict.Actual == 0 {
		return &answer[nothing]{}, nil // somebody else deleted it
	}
	if err != nil {
		return nil, err
	}
	return &answer[nothing]{Applied: applied}, nil
}

// again makes a change on the newest snapshot, and once more on a newer one if somebody else was faster, unless the caller
// named a version.
func (a *API) again(ctx context.Context, conditional bool, change func(*registry.Snapshot) error) error {
	for try := 1; ; try++ {
		err := change(a.opts.Store.Snapshot())
		var refused *Error
		if conditional || try == maxAgain || !errors.As(err, &refused) || refused.Code != codeChanged {
			return err
		}
		if ctx.Err() != nil {
			return err
		}
	}
}
