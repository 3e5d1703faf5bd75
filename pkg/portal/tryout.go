package portal

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/postrider/postrider/pkg/api"
)

// tryoutPage is what the page of test events shows.
type tryoutPage struct {
	Types   []choice
	Type    string
	Payload string
	// Sent is the event that has just been sent.
	Sent  *api.MessageOut
	Wrong []string
}

// showTest shows an example to send, edited or not.
func (v *visit) showTest() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	return v.test(http.StatusOK, e, tryoutPage{Type: v.r.URL.Query().Get("type")})
}

func (v *visit) test(status int, e endpointPage, out tryoutPage) error {
	types, err := v.eventTypes()
	if err != nil {
		return err
	}
	if out.Type == "" && len(types) > 0 {
		out.Type = firstCovered(e.EventTypes, types)
	}
	for _, t := range types {
		out.Types = append(out.Types, choice{t.Name, t.Name, t.Name == out.Type})
	}
	if out.Payload == "" {
		if out.Payload, err = v.example(out.Type); err != nil {
			return err
		}
	}
	e.More = out
	v.show(status, "test", &page{Title: "Send a test event", Data: e})
	return nil
}

// typedTest reads the form of a test event.
func (v *visit) typedTest() (out tryoutPage, body map[string]any) {
	out = tryoutPage{Type: strings.TrimSpace(v.r.PostForm.Get("type")), Payload: v.r.PostForm.Get("payload")}
	if !json.Valid([]byte(out.Payload)) {
		out.Wrong = []string{"The payload is not JSON."}
	}
	return out, map[string]any{"eventType": out.Type, "payload": json.RawMessage(out.Payload)}
}

// complain notes what the API has against a test event; other errors are returned.
func (t *tryoutPage) complain(err error) error {
	refused, ok := errors.AsType[*Refusal](err)
	if !ok || refused.Status != http.StatusUnprocessableEntity && refused.Status != http.StatusConflict {
		return err
	}
	for _, p := range refused.Problems {
		t.Wrong = append(t.Wrong, strings.Join(p.Loc[1:], ".")+": "+p.Msg)
	}
	if len(refused.Problems) == 0 {
		t.Wrong = append(t.Wrong, refused.Detail)
	}
	return nil
}

// sendTest sends the event of the form to this endpoint alone.
func (v *visit) sendTest() error {
	e, err := v.endpoint()
	if err != nil {
		return err
	}
	out, body := v.typedTest()
	if len(out.Wrong) == 0 {
		sent := &api.MessageOut{}
		_, err := v.calls.do(http.MethodPost, v.endpointPath("send-test"), body, sent)
		if err == nil {
			out.Sent = sent
		} else if err := out.complain(err); err != nil {
			return err
		}
	}
	status := http.StatusOK
	if out.Sent == nil {
		status = http.StatusUnprocessableEntity
	}
	return v.test(status, e, out)
}

// previewOut is a request as the endpoint would get it.
type previewOut struct {
	api.PreviewOut
	Wrong []string
}

// previewTest shows the request that the event of the form would be.
func (v *visit) previewTest() error {
	form, body := v.typedTest()
	var out previewOut
	if len(form.Wrong) == 0 {
		if _, err := v.calls.do(http.MethodPost, v.endpointPath("preview"), body, &out.PreviewOut); err != nil {
			if err := form.complain(err); err != nil {
				return err
			}
		}
	}
	out.Wrong = form.Wrong
	return v.piece("preview", "What the endpoint gets", out)
}
