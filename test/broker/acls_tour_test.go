package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// tourist uses an API. The first thing that does not go well is kept, and nothing is tried after it.
type tourist struct {
	base, token string
	err         error
}

// stepLimit is how long a step may be answered that it is to come again, for what it asks for is not there yet.
const stepLimit = 45 * time.Second

// step makes a request until it is answered as wanted and check, if there is one, finds what it looks for.
func (u *tourist) step(ctx context.Context, method, path, body string, want int, check func(answer []byte) error) {
	if u.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	err := every(ctx, func() error {
		status, answer, err := u.call(ctx, method, path, body)
		switch {
		case err != nil:
			return err
		case status != want:
			return fmt.Errorf("%d: %s", status, answer)
		case check != nil:
			return check(answer)
		}
		return nil
	})
	if err != nil {
		u.err = fmt.Errorf("%s %s: %w", method, path, err)
	}
}

func (u *tourist) call(ctx context.Context, method, path, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+u.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// field reads a member of an answer, which has to be there.
func field(name string, to *string) func([]byte) error {
	return func(answer []byte) error {
		var members map[string]any
		if err := json.Unmarshal(answer, &members); err != nil {
			return err
		}
		*to, _ = members[name].(string)
		if *to == "" {
			return fmt.Errorf("%s: missing in %s", name, answer)
		}
		return nil
	}
}

// firstID reads the id of the first element of a list that has one.
func firstID(to *string) func([]byte) error {
	return func(answer []byte) error {
		var page struct{ Data []struct{ ID string } }
		if err := json.Unmarshal(answer, &page); err != nil {
			return err
		}
		if len(page.Data) == 0 {
			return errors.New("nothing is listed")
		}
		*to = page.Data[0].ID
		return nil
	}
}

// tour asks the API for everything that it needs Kafka for.
func (g *guarded) tour() work {
	g.t.Helper()
	n := g.number()
	g.send()
	return func(ctx context.Context, base string) error {
		u := &tourist{base: base, token: g.token}
		u.step(ctx, "POST", "/app/acme/endpoint", `{"uid":"t`+n+`","url":"https://example.com/in","disabled":true}`, http.StatusCreated, nil)
		u.step(ctx, "GET", "/app/acme/audit", "", http.StatusOK, nil)
		u.step(ctx, "GET", "/status", "", http.StatusOK, func(answer []byte) error {
			if bytes.Contains(answer, []byte("kafka_unknown")) {
				return fmt.Errorf("Kafka did not say how far groups are: %s", answer)
			}
			return nil
		})
		u.again(ctx, n)
		u.example(ctx, n)
		u.letters(ctx)
		// The source of another producer, read for what an endpoint was never sent.
		var task, status string
		since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
		u.step(ctx, "POST", "/app/acme/endpoint/s1/replay-missing", `{"since":"`+since+`"}`, http.StatusAccepted, field("id", &task))
		u.step(ctx, "GET", "/background-task/"+task, "", http.StatusOK, func(answer []byte) error {
			if err := field("status", &status)(answer); err != nil || status == "finished" {
				return err
			}
			return fmt.Errorf("the task is %s", answer)
		})
		return u.err
	}
}

// again publishes an event, looks at what became of it, and has it sent once more.
func (u *tourist) again(ctx context.Context, n string) {
	var message, attempt string
	u.step(ctx, "POST", "/app/acme/msg", `{"eventType":"order.t`+n+`","payload":{"n":`+n+`}}`, http.StatusAccepted, field("id", &message))
	u.step(ctx, "GET", "/app/acme/msg/"+message+"?with_content=true", "", http.StatusOK, nil)
	u.step(ctx, "GET", "/app/acme/attempt/msg/"+message, "", http.StatusOK, firstID(&attempt))
	u.step(ctx, "GET", "/app/acme/msg/"+message+"/attempt/"+attempt, "", http.StatusOK, nil)
	u.step(ctx, "GET", "/app/acme/msg/"+message+"/attempt/"+attempt+"/detail", "", http.StatusOK, nil)
	u.step(ctx, "POST", "/app/acme/msg/"+message+"/endpoint/s0/resend", "", http.StatusAccepted, nil)
}

// example sends an event to one endpoint alone: it is nowhere but in deliveries, and read from there.
func (u *tourist) example(ctx context.Context, n string) {
	var message string
	u.step(ctx, "POST", "/event-type", `{"name":"example.t`+n+`","description":"An example","schemas":{"1":{"type":"object"}}}`, http.StatusCreated, nil)
	u.step(ctx, "POST", "/app/acme/endpoint/s0/send-example", `{"eventType":"example.t`+n+`"}`, http.StatusAccepted, field("id", &message))
	u.step(ctx, "GET", "/app/acme/msg/"+message, "", http.StatusOK, nil)
}

// letters closes a dead letter, and puts back what was rejected.
func (u *tourist) letters(ctx context.Context) {
	var letter string
	counted := func(answer []byte) error {
		var out struct{ Count int }
		if err := json.Unmarshal(answer, &out); err != nil || out.Count > 0 {
			return err
		}
		return fmt.Errorf("nothing was done: %s", answer)
	}
	u.step(ctx, "GET", "/app/acme/dead-letter", "", http.StatusOK, firstID(&letter))
	u.step(ctx, "GET", "/app/acme/dead-letter/"+letter, "", http.StatusOK, nil)
	u.step(ctx, "POST", "/app/acme/dead-letter/discard", `{"ids":["`+letter+`"]}`, http.StatusOK, counted)
	u.step(ctx, "GET", "/rejected", "", http.StatusOK, firstID(&letter))
	u.step(ctx, "POST", "/rejected/reingest", `{"ids":["`+letter+`"],"unchecked":true}`, http.StatusOK, counted)
}
