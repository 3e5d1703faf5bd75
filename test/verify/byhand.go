package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// tries is the policy's maximum for deliveries by hand.
const tries = 4

// byHand: one delivery is retried and parked until it is dead, redriven twice and resent twice; each asking has exactly
// the effect that was asked for.
func byHand(ctx context.Context, in *installation) error {
	if err := in.Configure("deliverer: {breaker: {failures: 2, open_for: 1s, max_open: 2s}}\n"); err != nil {
		return err
	}
	all := in.tenants(1, 1, rig.Subscription{Retry: rig.Retry{Every: time.Second, MaxTries: tries}})
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	p := history.Pair{Event: "e-0", Subscription: all[0].Subscriptions[0].ID}
	in.endpoints.answerWith(func(h hit) answer {
		if h.N <= tries {
			return answer{Status: 503}
		}
		return answer{}
	})
	if _, err := in.StartReady(ctx, "router", "deliver", "retry", "recorder"); err != nil {
		return err
	}
	api, err := in.startAPI(ctx)
	if err != nil {
		return err
	}
	token, err := in.key(ctx)
	if err != nil {
		return err
	}
	access := []string{"--api", strings.TrimSuffix(api.base, "/api/v1"), "--token", token}
	if err := in.produce(ctx, 1, all); err != nil {
		return err
	}
	if err := in.expect(ctx, p, "requests until it is dead", tries); err != nil {
		return err
	}
	if err := in.askAgain(ctx, api, p, all[0].UID, token, access); err != nil {
		return err
	}
	if err := in.settled(ctx, 10*time.Second); err != nil {
		return err
	}
	in.history.Redrives[p], in.history.Resends[p] = 1, 2
	if err := in.harvest(ctx); err != nil {
		return err
	}
	parked := 0
	for _, o := range in.history.Outcomes {
		if o.Verdict == "parked" {
			parked++
		}
	}
	in.want(parked > 0, "parked meanwhile", "once or more", "%d", parked)
	in.judge(history.Rules{})
	return nil
}

// askAgain redrives the dead letter and resends the event, each twice, and waits for what has to come of it.
func (in *installation) askAgain(ctx context.Context, api *apiProcess, p history.Pair, app, token string, access []string) error {
	delivery, err := in.deadLetter(ctx, access)
	if err != nil {
		return err
	}
	message, err := in.indexed(ctx, api, token, app)
	if err != nil {
		return err
	}
	redrive := append([]string{"deadletters", "redrive", delivery}, access...)
	resend := append([]string{"resend", app, message, p.Subscription}, access...)
	steps := []struct {
		what    string
		command []string
		want    int
	}{
		{"requests after redrive", redrive, tries + 1},
		{"requests after redrive of the same dead letter", redrive, tries + 1},
		{"requests after resend", resend, tries + 2},
		{"requests after another resend", resend, tries + 3},
	}
	for _, step := range steps {
		if _, err := in.Run(ctx, step.command...); err != nil {
			return err
		}
		if err := in.expect(ctx, p, step.what, step.want); err != nil {
			return err
		}
	}
	return nil
}

// indexed waits until the one event is found by the API, and returns its message id.
func (in *installation) indexed(ctx context.Context, api *apiProcess, token, app string) (string, error) {
	if err := in.harvest(ctx); err != nil {
		return "", err
	}
	message := in.history.Deliveries[0].Message
	err := rig.Await(ctx, time.Minute, func() (bool, error) {
		got, err := api.call(ctx, token, http.MethodGet, "/app/"+app+"/msg/"+message, nil, "")
		return err == nil && got.status == http.StatusOK, err
	})
	if err != nil {
		return "", fmt.Errorf("waiting until %s is found: %w", message, err)
	}
	return message, nil
}

// quiet is how long nothing more must arrive before a number counts.
const quiet = 3 * time.Second

// expect waits for the requests of a pair, and then for a request too many.
func (in *installation) expect(ctx context.Context, p history.Pair, what string, want int) error {
	// That they do not come is what the figure says.
	_ = rig.Await(ctx, time.Minute, func() (bool, error) { return in.endpoints.count(p) >= want, nil })
	if err := rig.Pause(ctx, quiet); err != nil {
		return err
	}
	got := in.endpoints.count(p)
	in.want(got == want, what, fmt.Sprint(want), "%d", got)
	return nil
}

// deadLetter waits for the one dead letter there is and returns its delivery.
func (in *installation) deadLetter(ctx context.Context, access []string) (string, error) {
	var found string
	err := rig.Await(ctx, 20*time.Second, func() (bool, error) {
		out, err := in.Run(ctx, append([]string{"deadletters", "list", "-o", "json"}, access...)...)
		if err != nil {
			return false, err
		}
		var letters []struct{ ID string }
		if err := json.Unmarshal([]byte(out), &letters); err != nil {
			return false, fmt.Errorf("reading dead letters: %w", err)
		}
		if len(letters) > 0 {
			found = letters[0].ID
		}
		return found != "", nil
	})
	if err != nil {
		return "", fmt.Errorf("waiting for the dead letter: %w", err)
	}
	return found, nil
}
