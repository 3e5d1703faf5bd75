package app

import (
	"fmt"
	"net/http"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/portal"
)

// withPortal returns the API's handler with the portal beside it, which has no other way to data than that handler. The portal
// is at the path of api.portal_url; what is not below it is the API's.
func (a *App) withPortal(handler http.Handler, cipher api.Cipher) (http.Handler, error) {
	p, err := portal.New(portal.Options{
		API: handler, Cipher: cipher, URL: a.conf.API.PortalURL, Theme: a.conf.Portal.Theme(), FrameAncestors: a.conf.Portal.FrameAncestors,
		Log: a.opts.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(p.Base()+"/", p.Handler())
	for _, base := range []string{"/api/", "/v1/"} {
		mux.Handle(base, handler)
	}
	if p.Base() != "" {
		mux.Handle("/", handler)
	}
	return mux, nil
}
