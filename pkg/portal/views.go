package portal

import (
	"errors"
	"net/http"
	"strings"
)

// viewsHeader is where the API says how far the views of attempts are.
const viewsHeader = "Postrider-Views"

// viewsWords says in a sentence what a page may lack, empty if nothing: what is in the views is right, but newer records may not be
// there yet, or older ones not any more.
func viewsWords(state string) string {
	switch what, _, _ := strings.Cut(state, ";"); what {
	case "", "complete":
		return ""
	case "behind":
		return "The latest attempts are not all here yet; they appear by themselves. Deliveries are not affected."
	case "incomplete":
		return "Older attempts are missing here at present. Deliveries are not affected."
	}
	return "It is not known at present whether the latest attempts are all here. Deliveries are not affected."
}

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
