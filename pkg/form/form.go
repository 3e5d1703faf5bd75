// Package form says whether this release understands a record. Every form of record has a version, which is raised when those
// who read the former one would misread the next; what is only added does not raise it. What is newer than is understood must be
// left where it is, for a release that understands it: not guessed at, not passed over, not made a dead letter.
package form

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNewer is wrapped by the errors of [Check].
var ErrNewer = errors.New("is newer than this release understands")

// Check refuses a record whose form has a higher version than the one that is understood. A record without a version, which is
// 0, is of the first.
func Check(version, understood int) error {
	if version <= understood {
		return nil
	}
	return fmt.Errorf("record version %d %w, which is %d: upgrade what reads it", version, ErrNewer, understood)
}

// Read decodes a record in JSON into v, of which version is the member that holds the record's own, and checks that. That a form
// is newer is the error even if v could not hold it: then v is not to be used.
func Read(value []byte, v any, version *int, understood int) error {
	if err := json.Unmarshal(value, v); err != nil {
		var of struct {
			Version int `json:"version"`
		}
		if json.Unmarshal(value, &of) == nil {
			err = errors.Join(Check(of.Version, understood), err)
		}
		return err
	}
	return Check(*version, understood)
}
