package portal

import (
	"net/http"
	"slices"
)

// action is what the page of an endpoint offers to do, with what it will do.
type action struct {
	Name, Title, Button string
	// Permission is what it asks for.
	Permission string
	// Says are the consequences, which are read before it is done.
	Says   []string
	Danger bool
	// Asks: it wants a reason, which the form of the confirmation has.
	Asks bool

	done string
	run  func(v *visit) error
}

// actions are all of them.
func actions() []action {
	switched := func(disabled bool) func(*visit) error {
		return func(v *visit) error {
			_, err := v.calls.do(http.MethodPatch, v.endpointPath(), map[string]any{"disabled": disabled}, nil)
			return err
		}
	}
	call := func(method string, segments ...string) func(*visit) error {
		return func(v *visit) error {
			_, err := v.calls.do(method, v.endpointPath(segments...), nil, nil)
			return err
		}
	}
	return []action{
		{
			Name: "enable", Title: "Enable this endpoint?", Button: "Enable", Permission: "manage-endpoints", done: "enabled", run: switched(false),
			Says: []string{"Events that come from now on are delivered to it.", "What came while it was disabled is not sent by this.", "Its count of failures starts anew."},
		},
		{
			Name: "disable", Title: "Disable this endpoint?", Button: "Disable", Permission: "manage-endpoints", done: "disabled", run: switched(true), Danger: true,
			Says: []string{"Nothing is sent to it any more, within two seconds.", "Deliveries that wait for a retry are cancelled.", "You can enable it again at any time."},
		},
		{
			Name: "delete", Title: "Delete this endpoint?", Button: "Delete", Permission: "manage-endpoints", done: "deleted", run: call(http.MethodDelete), Danger: true,
			Says: []string{"Nothing is sent to it any more, within two seconds.", "Deliveries that wait for a retry are cancelled.", "Its settings and its signing secret are gone. This cannot be undone."},
		},
		{
			Name: "lock", Title: "Disable and lock this endpoint?", Button: "Lock", Permission: "operate", done: "locked", run: call(http.MethodPut, "lock"), Danger: true,
			Says: []string{"Nothing is sent to it any more, within two seconds.", "Its owner cannot enable it: only an operator can."},
		},
		{
			Name: "unlock", Title: "Unlock this endpoint?", Button: "Unlock", Permission: "operate", done: "unlocked", run: call(http.MethodDelete, "lock"),
			Says: []string{"Its owner can enable it again. Until then nothing is sent to it."},
		},
		{
			Name: "pause", Title: "Pause deliveries to this endpoint?", Button: "Pause", Permission: "operate", done: "paused", Asks: true,
			run: func(v *visit) error {
				_, err := v.calls.do(http.MethodPut, v.endpointPath("pause"), map[string]any{"reason": v.r.PostFormValue("reason")}, nil)
				return err
			},
			Says: []string{"Nothing is sent to it, within two seconds.", "Deliveries are kept and sent when you resume. None of them counts as failed.", "Its owner sees the pause and your reason."},
		},
		{
			Name: "resume", Title: "Resume deliveries to this endpoint?", Button: "Resume", Permission: "operate", done: "resumed", run: call(http.MethodDelete, "pause"),
			Says: []string{"What was kept is sent in order, from some minutes from now at the latest.", "A pause of its tenant stays."},
		},
	}
}

// action is the one of the path.
func (v *visit) action() (action, error) {
	all := actions()
	i := slices.IndexFunc(all, func(a action) bool { return a.Name == v.r.PathValue("action") })
	if i < 0 {
		return action{}, v.unknown()
	}
	return all[i], nil
}

// confirm says what an action will do, and asks.
func (v *visit) confirm() error {
	a, err := v.action()
	if err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	e.More = a
	v.show(http.StatusOK, "confirm", &page{Title: a.Title, Data: e})
	return nil
}

// act does it.
func (v *visit) act() error {
	a, err := v.action()
	if err != nil {
		return err
	}
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	if err := a.run(v); err != nil {
		return err
	}
	if a.Name == "delete" {
		return v.redirect(v.appPath("endpoint") + "?done=" + a.done)
	}
	return v.redirect(v.appPath("endpoint", e.ID) + "?done=" + a.done)
}
