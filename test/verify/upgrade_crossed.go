package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// writers tells which release wrote a record: a process has a producer of its own, and each works while its release is alone.
type writers map[int64]string

func (w writers) see(r *kgo.Record, spans []span) {
	for _, s := range spans {
		if r.Timestamp.After(s.from) && r.Timestamp.Before(s.to) {
			w[r.ProducerID] = s.release
		}
	}
}

// written is an outcome and who wrote it.
type written struct {
	history.Outcome
	producer int64
}

// crossed tells what one release left to the other, and wants attempts counted on and breakers kept.
func (u *upgrading) crossed(ctx context.Context) error {
	by, rows := writers{}, map[string][]written{}
	err := u.in.Read(ctx, "outcomes", func(r *kgo.Record) error {
		w := written{producer: r.ProducerID}
		if err := json.Unmarshal(r.Value, &w.Outcome); err != nil {
			return fmt.Errorf("reading outcome %d/%d: %w", r.Partition, r.Offset, err)
		}
		by.see(r, u.spans)
		rows[w.Delivery] = append(rows[w.Delivery], w)
		return nil
	})
	if err != nil {
		return err
	}
	over, wrong, attempts := map[string]map[string]int{}, 0, map[string]int{}
	for _, list := range rows {
		slices.SortStableFunc(list, func(a, b written) int { return a.At.Compare(b.At) })
		n := 0
		for i, w := range list {
			if w.Result != "none" {
				if n++; w.Attempt != n {
					wrong++
				}
				attempts[by[w.producer]]++
			}
			if i+1 < len(list) {
				u.passed(over, by, w, list[i+1])
			}
		}
	}
	u.in.wantZero(wrong, "attempts with another number than the one after the last")
	u.in.tell("attempts by release", "%v", attempts)
	for _, way := range u.ways() {
		u.in.want(over[way]["parked"] > 0, "deliveries parked, from "+way, "some", "%d", over[way]["parked"])
		steps := slices.DeleteFunc(slices.Sorted(maps.Keys(over[way])), func(s string) bool { return s == "parked" })
		u.in.want(len(steps) >= 3, "retries waiting, from "+way+", by delay", "of 3 or more steps", "%v", over[way])
	}
	if len(by) == 0 || attempts[""] > 0 {
		u.in.want(false, "attempts of whom nobody knows which release made them", "0", "%d", attempts[""])
	}
	return u.breakers(ctx, by)
}

// ways are from one release to the other and back.
func (u *upgrading) ways() []string {
	return []string{way(u.in.before.Name, u.in.now.Name), way(u.in.now.Name, u.in.before.Name)}
}

func way(from, to string) string { return from + " to " + to }

// passed counts a delivery that one release made wait and the other went on with: it wrote the next row, or was alone for a
// while before that, in which the delivery went through its hands at most to be parked again, which makes no row.
func (u *upgrading) passed(over map[string]map[string]int, by writers, w, next written) {
	from, others := by[w.producer], map[string]bool{by[next.producer]: true}
	for _, s := range u.spans {
		if s.from.After(w.At) && s.to.Before(next.At) {
			others[s.release] = true
		}
	}
	delete(others, from)
	for to := range others {
		if over[way(from, to)] == nil {
			over[way(from, to)] = map[string]int{}
		}
		over[way(from, to)][waited(w)]++
	}
}

// waited is what a row made its delivery wait for: parked, or the step of the ladder.
func waited(w written) string {
	if w.Verdict == "parked" || w.Due == nil {
		return cmp.Or(w.Verdict, "nothing")
	}
	return w.Due.Sub(w.At).Round(time.Second).String()
}

// breakerState is what is looked at of a record of endpoint-states.
type breakerState struct {
	release string
	Breaker struct{ Trips int }
}

// breakers wants every breaker that was open when its endpoint came to the other release to be open there: what that one
// writes first has at least as many trips as what it was handed.
func (u *upgrading) breakers(ctx context.Context, by writers) error {
	var states []*kgo.Record
	err := u.in.Read(ctx, "endpoint-states", func(r *kgo.Record) error {
		by.see(r, u.spans)
		if slices.Contains(u.down, string(r.Key)) {
			states = append(states, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	last, crossings, fell := map[string]breakerState{}, map[string]int{}, 0
	for _, r := range states {
		now, was := breakerState{release: by[r.ProducerID]}, last[string(r.Key)]
		if err := json.Unmarshal(r.Value, &now); err != nil {
			return fmt.Errorf("reading endpoint state %d/%d: %w", r.Partition, r.Offset, err)
		}
		last[string(r.Key)] = now
		mended := r.Timestamp.After(u.spans[len(u.spans)-1].to)
		if mended || was.release == "" || now.release == "" || was.release == now.release || was.Breaker.Trips == 0 {
			continue
		}
		crossings[way(was.release, now.release)]++
		if now.Breaker.Trips < was.Breaker.Trips {
			fell++
		}
	}
	for _, way := range u.ways() {
		u.in.want(crossings[way] > 0, "open breakers, from "+way, "some", "%d", crossings[way])
	}
	u.in.wantZero(fell, "breakers that the other release had closed, or begun anew")
	tried := 0
	for _, id := range u.down {
		tried += u.in.endpoints.requests(id)
	}
	u.in.tell("requests to the endpoints that were down, with those after they were mended", "%d", tried)
	return nil
}

// viewSample is how many events are looked up.
const viewSample = 60

// viewed wants the attempts of events of all times in the views, through the API of this release.
func (u *upgrading) viewed(ctx context.Context) error {
	in := u.in
	missing, looked, err := u.missing(ctx)
	if err != nil {
		return err
	}
	in.tell("events whose attempts the views lack, before they are made again", "%d of %d", missing, looked)
	if _, _, err := u.fleet["recorder"][0].Term(ctx); err != nil {
		return err
	}
	if _, err := in.Run(ctx, "views", "rebuild"); err != nil {
		return err
	}
	if _, err := in.StartReady(ctx, "recorder"); err != nil {
		return err
	}
	if missing, looked, err = u.missing(ctx); err != nil {
		return err
	}
	in.wantZero(missing, fmt.Sprintf("of %d events those whose attempts the views lack, after postrider views rebuild", looked))
	return nil
}

// missing counts events of which the API does not list the attempts that outcomes have. It waits for the recorder.
func (u *upgrading) missing(ctx context.Context) (missing, looked int, err error) {
	in := u.in
	if err := in.recorded(ctx); err != nil {
		return 0, 0, err
	}
	token, err := in.key(ctx)
	if err != nil {
		return 0, 0, err
	}
	attempts, message := map[string]int{}, map[string]string{}
	for i := range in.history.Outcomes {
		o := &in.history.Outcomes[i]
		message[o.Event] = o.Message
		if o.Result != "none" {
			attempts[o.Event]++
		}
	}
	api := u.fleet["api"][0].api
	for i := 0; i < len(in.history.Events); i += max(1, len(in.history.Events)/viewSample) {
		e := in.history.Events[i]
		var list struct{ Data []struct{ ID string } }
		err := rig.Await(ctx, 15*time.Second, func() (bool, error) { // the key was made just now
			got, err := api.call(ctx, token, http.MethodGet, "/app/"+e.Tenant+"/attempt/msg/"+message[e.ID]+"?limit=250", nil, "")
			if err != nil || got.status == http.StatusUnauthorized || strings.Contains(string(got.body), "unknown_key") {
				return false, err
			}
			return true, json.Unmarshal(got.body, &list)
		})
		if err != nil {
			return 0, 0, err
		}
		looked++
		if len(list.Data) != attempts[e.ID] {
			missing++
		}
	}
	return missing, looked, nil
}

// recorded waits until the recorder has read all that there is.
func (in *installation) recorded(ctx context.Context) error {
	err := rig.Await(ctx, time.Minute, func() (bool, error) {
		lag, err := in.Lag(ctx, "recorder")
		return lag == 0 && err == nil, nil // a group that is being made has no lag yet
	})
	if err != nil {
		return fmt.Errorf("waiting for the recorder: %w", err)
	}
	return nil
}
