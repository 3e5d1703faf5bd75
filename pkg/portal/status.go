package portal

import (
	"net/http"
	"slices"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/pause"
)

// statusPage is how the installation does, for operators.
type statusPage struct {
	api.SystemStatusOut
	// Roles that can be paused or resumed, in the order of the flow.
	Switches []roleSwitch
	// Endpoints are those of all tenants that are worth a look; Away says that Redis did not tell.
	Endpoints api.SystemEndpointsOut
	Away      bool
}

// loadTable are endpoints of the last hour.
type loadTable struct {
	What, Hint string
	Rows       []api.EndpointLoadOut
}

// Sickest are those that fail.
func (p *statusPage) Sickest() loadTable {
	return loadTable{"the sickest endpoints", "Of the last hour: those with the most failed attempts, weighed by the share that failed.", p.Endpoints.Sickest}
}

// Busiest are those that are sent most.
func (p *statusPage) Busiest() loadTable {
	return loadTable{"the busiest endpoints", "Of the last hour: those with the most attempts.", p.Endpoints.Busiest}
}

// roleSwitch is what can be done with a role.
type roleSwitch struct {
	Role   string
	Paused bool
}

// showStatus shows how the installation does, to who may see all.
func (v *visit) showStatus() (err error) {
	var data statusPage
	if err := v.calls.get("/status", &data.SystemStatusOut); err != nil {
		return err
	}
	if data.Away, err = v.look("/status/endpoints", &data.Endpoints); err != nil {
		return err
	}
	for _, r := range data.Roles {
		data.Switches = append(data.Switches, roleSwitch{r.Role, r.Paused})
	}
	v.show(http.StatusOK, "status", &page{Title: "Status", Data: &data, Done: v.r.URL.Query().Get("done")})
	return nil
}

// operation is what an operator does to the whole installation, after it was said what it will do.
type operation struct {
	Name, Title, Button string
	Says                []string
	Danger, Asks        bool

	method, path, done string
}

// operations are all of them.
func operations() []operation {
	out := []operation{
		{
			Name: "stop-egress", Title: "Stop everything that leaves?", Button: "Stop everything", Danger: true, Asks: true,
			Says: []string{
				"A second later nothing is sent to anybody, of any tenant.", "Deliveries wait in Kafka and count as nothing, as long as its topics keep them.",
				"Test events and checks of URLs are refused.", "Tenants see that nothing is sent, and not your reason.",
			},
			method: http.MethodPut, path: path("pause", "egress"), done: "egress-stopped",
		},
		{
			Name: "start-egress", Title: "Let everything leave again?", Button: "Start",
			Says:   []string{"What waits is sent, in order and as fast as endpoints take it."},
			method: http.MethodDelete, path: path("pause", "egress"), done: "egress-started",
		},
	}
	for _, role := range pause.Roles() {
		out = append(out, operation{
			Name: "pause-" + role, Title: "Pause every " + role + "?", Button: "Pause", Danger: true, Asks: true,
			Says:   []string{"It stays in its group and reads nothing more. What it has read it finishes.", "Its lag grows until you resume it."},
			method: http.MethodPut, path: path("pause", "role", role), done: "role-paused",
		}, operation{
			Name: "resume-" + role, Title: "Resume every " + role + "?", Button: "Resume", Says: []string{"It works off what waits for it."},
			method: http.MethodDelete, path: path("pause", "role", role), done: "role-resumed",
		})
	}
	return out
}

func (v *visit) operation() (operation, error) {
	all := operations()
	i := slices.IndexFunc(all, func(o operation) bool { return o.Name == v.r.PathValue("operation") })
	if !v.May("operate") {
		return operation{}, &Refusal{Status: http.StatusForbidden, Code: "insufficient_permissions", Detail: "You may not do this."}
	}
	if i < 0 {
		return operation{}, v.unknown()
	}
	return all[i], nil
}

// confirmOperation says what an operation will do, and asks.
func (v *visit) confirmOperation() error {
	o, err := v.operation()
	if err != nil {
		return err
	}
	v.show(http.StatusOK, "operate", &page{Title: o.Title, Data: o})
	return nil
}

// operate does it.
func (v *visit) operate() error {
	o, err := v.operation()
	if err != nil {
		return err
	}
	var body any
	if o.Asks {
		body = api.PauseIn{Reason: v.r.PostFormValue("reason")}
	}
	if _, err := v.calls.do(o.method, o.path, body, nil); err != nil {
		return err
	}
	return v.redirect("/status?done=" + o.done)
}
