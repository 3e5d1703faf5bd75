package view

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// State is how a role of one process does, as it said within the last five seconds.
type State struct {
	// Since is when it started, Build the version of the program.
	Since time.Time `json:"since"`
	Build string    `json:"build,omitempty"`
	// Joined: it is in its consumer group. Paused: it is held, by a pause of the role or because egress is stopped.
	Joined bool `json:"joined"`
	Paused bool `json:"paused,omitempty"`
	// Partitions are those that it owns, Halted those of them that stand still until somebody mends them.
	Partitions int `json:"partitions"`
	Halted     int `json:"halted,omitempty"`
	// Unfinished are the records that it has read and not finished, OldestMS the age of the oldest of them in milliseconds.
	Unfinished int   `json:"unfinished"`
	OldestMS   int64 `json:"oldestMs"`
	// Breakers are open, of a deliverer.
	Breakers int `json:"breakers,omitempty"`
}

// stateKey is that of one member; all are in the slot of the other keys of presence. It ends as the member's report does.
func (r *Redis) stateKey(m Member) string {
	return "{" + r.conf.Prefix + "presence}:state:" + m.field()
}

// Tell says how a role of this process does, beside [Redis.Report].
func (r *Redis) Tell(ctx context.Context, role, instance string, s State) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding the state of a role: %w", err)
	}
	return r.done(r.client.Set(ctx, r.stateKey(Member{Role: role, Instance: instance}), raw, Lifetime).Err())
}

// States returns how members do, in their order; nil for one that has not said.
func (r *Redis) States(ctx context.Context, members []Member) ([]*State, error) {
	if len(members) == 0 {
		return nil, nil
	}
	keys := make([]string, len(members))
	for i, m := range members {
		keys[i] = r.stateKey(m)
	}
	values, err := r.client.MGet(ctx, keys...).Result()
	if r.done(err) != nil {
		return nil, r.done(err)
	}
	out := make([]*State, len(members))
	for i, v := range values {
		text, ok := v.(string)
		if s := new(State); ok && json.Unmarshal([]byte(text), s) == nil { // one of a later version may be another
			out[i] = s
		}
	}
	return out, nil
}
