package api

import (
	"context"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
)

// ProfilesOut are the profiles that endpoints can have.
type ProfilesOut struct {
	Data []ProfileOut `json:"data" nullable:"false" doc:"By name."`
}

// ProfileOut is a profile, as far as it matters to who chooses one.
type ProfileOut struct {
	Name           string        `json:"name" example:"standard"`
	Envelope       string        `json:"envelope" doc:"The form of bodies."`
	Signature      string        `json:"signature" doc:"The form of signatures and of secrets; template is one of the profile's own."`
	TimeoutSeconds int           `json:"timeoutSeconds"`
	Retry          RetryPolicy   `json:"retry"`
	Failure        FailurePolicy `json:"failure"`
}

func (a *API) profiles() {
	register(a, route{
		method: http.MethodGet, path: "/profile", id: "postrider.profile.list", tag: "Profile", needs: access.ViewCatalogue,
		summary: "List the profiles that endpoints can have", doc: "Endpoints choose one at …/delivery-policy.",
	}, func(context.Context, *struct{}) (*answer[ProfilesOut], error) {
		out := ProfilesOut{Data: []ProfileOut{}}
		for _, name := range a.opts.Profiles.Names() {
			p, _ := a.opts.Profiles.Get(name)
			out.Data = append(out.Data, profileOut(p))
		}
		return &answer[ProfilesOut]{Body: out}, nil
	})
}

func profileOut(p *profile.Profile) ProfileOut {
	out := ProfileOut{
		Name: p.Name, Envelope: p.Envelope, Signature: p.Signature, TimeoutSeconds: int(p.Timeout.Std() / time.Second),
		Retry: *retryOut(p.Retry), Failure: FailurePolicy{Kind: string(subscription.FailureNever)},
	}
	if p.Failure != nil {
		out.Failure = *failureOut(*p.Failure)
	}
	return out
}
