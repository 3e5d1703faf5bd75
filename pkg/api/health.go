package api

import (
	"context"
	"net/http"
)

func (a *API) health() {
	register(a, route{
		method: http.MethodGet, path: "/health", id: "v1.health.get", tag: "Health", public: true,
		summary: "Say that the API is there", status: http.StatusNoContent,
	}, func(context.Context, *struct{}) (*answer[nothing], error) { return &answer[nothing]{}, nil })
}
