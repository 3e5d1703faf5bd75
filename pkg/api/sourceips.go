package api

import (
	"context"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
)

// SourceIPsOut are the networks that deliveries come from.
type SourceIPsOut struct {
	Networks []string `json:"networks" nullable:"false" doc:"In CIDR notation. Empty if the operator published none."`
}

func (a *API) sourceIPs() {
	register(a, route{
		method: http.MethodGet, path: "/source-ips", id: "postrider.source-ips.get", tag: "Addresses", needs: access.ViewCatalogue,
		summary: "List the addresses that deliveries come from", doc: "For the firewalls of receivers.",
	}, func(context.Context, *struct{}) (*answer[SourceIPsOut], error) {
		out := SourceIPsOut{Networks: []string{}}
		for _, p := range a.opts.SourceIPs {
			out.Networks = append(out.Networks, p.String())
		}
		return &answer[SourceIPsOut]{Body: out}, nil
	})
}
