package portal

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// viewsHeader is where the API says how far the views of attempts are.
const viewsHeader = "Postrider-Views"

// viewsWords says in a sentence what a page may lack, empty if nothing: what is in the views is right, but newer records may not be
// there yet, or older ones not any more. The last seconds are always on their way while much is delivered: of those it says nothing.
func viewsWords(state string, now time.Time) string {
	what, more, _ := strings.Cut(state, ";")
	switch what {
	case "", "complete":
		return ""
	case "behind":
		_, to, _ := strings.Cut(more, "to=")
		to, _, _ = strings.Cut(to, ";")
		if at, err := time.Parse(time.RFC3339, to); err == nil && now.Sub(at) < usuallyBehind {
			return ""
		}
		return "The latest attempts are not all here yet; they appear by themselves. Deliveries are not affected."
	case "incomplete":
		return "Older attempts are missing here at present. Deliveries are not affected."
	}
	return "It is not known at present whether the latest attempts are all here. Deliveries are not affected."
}

// usuallyBehind is how old a record may be that is not in the views yet, before it is worth a word.
const usuallyBehind = time.Minute

// awayWords is what stands in place of what cannot be read at present.
const awayWords = "This cannot be shown at present, because what keeps the log of attempts does not answer. " +
	"Deliveries go on as usual. Load the page again in a moment."

// look reads what may be away for a while: away is true then, and there is no error.
func (v *visit) look(path string, out any) (away bool, err error) {
	err = v.calls.get(path, out)
	if refused, ok := errors.AsType[*Refusal](err); ok && refused.Status == http.StatusServiceUnavailable {
		return true, nil
	}
	return false, err
}
