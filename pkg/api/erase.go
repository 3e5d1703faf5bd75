package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// huma compiles its 600 lines of parsing, validating and writing once for every pair of an input and an output type: with a
// pair for each operation that was most of what the whole program took to compile. So huma gets one output type, the
// answer encoded, and for input the parameters alone, of which operations share few sets, with the body as the bytes that
// came. What the bodies are it learns from schemas that stand in the operation already: it validates and documents them as
// if it had the types.

// answer is what a handler answers.
type answer[T any] struct {
	// Status is that of the route if 0.
	Status int
	// ETag is the version of the object, Applied how far a change has come, Idempotency whether it was looked for earlier
	// requests, Views how far the views are that were looked at. Empty ones are left out.
	ETag, Applied, Idempotency, Views string
	Body                              T
}

// parts are what an answer consists of, without its type. A nil one, beside an error, has none.
func (o *answer[T]) parts() (head erased, body any) {
	if o == nil {
		return head, nil
	}
	return erased{Status: o.Status, ETag: o.ETag, Applied: o.Applied, Idempotency: o.Idempotency, Views: o.Views}, o.Body
}

// nothing is the body of an answer without one.
type nothing struct{}

// erased is an answer as huma gets it.
type erased struct {
	Status      int
	ContentType string `header:"Content-Type"`
	ETag        string `header:"ETag" doc:"The version, for If-Match."`
	Applied     string `header:"Postrider-Applied" enum:"all,waiting,none,unknown" doc:"With wait=applied: whether all live routers and deliverers have the change, not all of them yet, there are none, or nobody knows."`
	Idempotency string `header:"Postrider-Idempotency" enum:"unchecked" doc:"Redis is away: whether the request was made before is not known."`
	Views       string `header:"Postrider-Views" example:"behind; records=1200; to=2026-03-04T05:06:07.890Z" doc:"How far the views in Redis are: complete; behind, with how many attempts are not in them yet and a time up to which all are; incomplete, since Redis has lost its data and they were not rebuilt; or unknown. expired=3 says that three attempts are left out because Kafka does not have them any more."`
	Body        []byte
}

// JSONBody is the body of a request as it came; huma has validated it.
type JSONBody struct {
	Body json.RawMessage
}

func (b JSONBody) raw() json.RawMessage { return b.Body }

// carrier is an input with a body.
type carrier interface{ raw() json.RawMessage }

// register adds an operation of parameters P.
func register[P, T any](a *API, r route, handler func(context.Context, *P) (*answer[T], error)) {
	huma.Register(a.huma, a.declare(r, nil, reflect.TypeFor[T]()), func(ctx context.Context, in *P) (*erased, error) {
		out, err := handler(ctx, in)
		head, answered := out.parts()
		return a.erase(ctx, r, head, answered, err)
	})
}

// registerBody adds an operation of parameters P with a body B.
func registerBody[P carrier, B, T any](a *API, r route, handler func(context.Context, *P, *B) (*answer[T], error)) {
	huma.Register(a.huma, a.declare(r, reflect.TypeFor[B](), reflect.TypeFor[T]()), func(ctx context.Context, in *P) (*erased, error) {
		var body B
		if err := a.decode((*in).raw(), &body); err != nil {
			return nil, err
		}
		out, err := handler(ctx, in, &body)
		head, answered := out.parts()
		return a.erase(ctx, r, head, answered, err)
	})
}

// preset puts the schemas of the bodies into op, where huma leaves them as they are. body is nil for none.
func (a *API) preset(op *huma.Operation, r route, body, answered reflect.Type) {
	schemas := a.huma.OpenAPI().Components.Schemas
	if body != nil {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			jsonType: {Schema: schemas.Schema(body, true, op.OperationID+"Request")},
		}}
	}
	var content map[string]*huma.MediaType
	if answered != reflect.TypeFor[nothing]() {
		media := jsonType
		if r.lines {
			media = linesType
		}
		if r.events {
			media = eventsType
		}
		content = map[string]*huma.MediaType{media: {Schema: schemas.Schema(answered, true, op.OperationID+"Response")}}
	}
	op.Responses = map[string]*huma.Response{
		strconv.Itoa(op.DefaultStatus): {Description: http.StatusText(op.DefaultStatus), Content: content},
	}
}

// decode reads a body that its schema has let through.
func (a *API) decode(raw json.RawMessage, body any) error {
	err := a.huma.Unmarshal(jsonType, raw, body)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalid(wrong.Field, "want a value of another form") // such as 1e2 for an integer; not its value, which may be secret
	}
	if err != nil {
		return invalid("", "%s", err.Error())
	}
	return nil
}

// erase encodes an answer, or tells what went wrong.
func (a *API) erase(ctx context.Context, r route, e erased, body any, err error) (*erased, error) {
	if err != nil {
		return nil, a.tell(ctx, r, err)
	}
	e.Status = cmp.Or(e.Status, r.success())
	if body == (nothing{}) {
		return &e, nil
	}
	var encoded bytes.Buffer
	if err := a.huma.Marshal(&encoded, jsonType, body); err != nil {
		return nil, a.tell(ctx, r, err)
	}
	e.ContentType, e.Body = jsonType, encoded.Bytes()
	return &e, nil
}
