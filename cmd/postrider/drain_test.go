package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatADrainWaitsFor(t *testing.T) {
	t.Parallel()
	const heard = `{"instance":"a","paused":true}`
	for name, c := range map[string]struct {
		roles string
		o     drainOptions
		done  bool
	}{
		"nothing is left": {`{"role":"router","instances":[` + heard + `]},{"role":"deliverer","lag":0},{"role":"retrier","lag":9}`, drainOptions{}, true},
		"retries wait":    {`{"role":"router"},{"role":"deliverer","lag":0},{"role":"retrier","lag":9}`, drainOptions{retries: true}, false},
		"a router has not heard of it": {
			`{"role":"router","instances":[{"instance":"a"}]},{"role":"deliverer","lag":0},{"role":"retrier","lag":0}`, drainOptions{}, false,
		},
		"a router has events in hand": {`{"role":"router","unfinished":1},{"role":"deliverer","lag":0},{"role":"retrier","lag":0}`, drainOptions{}, false},
		"deliveries are behind":       {`{"role":"router"},{"role":"deliverer","lag":1},{"role":"retrier","lag":0}`, drainOptions{}, false},
		"deliveries are in flight":    {`{"role":"router"},{"role":"deliverer","lag":0,"unfinished":1},{"role":"retrier","lag":0}`, drainOptions{}, false},
		"Kafka does not say":          {`{"role":"router"},{"role":"deliverer"},{"role":"retrier","lag":0}`, drainOptions{}, false},
		"a role is at work":           {`{"role":"deliverer","unfinished":1,"lag":5,"instances":[` + heard + `]}`, drainOptions{role: "deliverer"}, false},
		"a role is done":              {`{"role":"deliverer","unfinished":0,"lag":5,"instances":[` + heard + `]}`, drainOptions{role: "deliverer"}, true},
		"a role has not heard of it":  {`{"role":"deliverer","instances":[{"instance":"a"}]}`, drainOptions{role: "deliverer"}, false},
		"a retrier keeps what waits":  {`{"role":"retrier","unfinished":7,"instances":[` + heard + `]}`, drainOptions{role: "retrier"}, true},
	} {
		var s shownSystem
		require.NoError(t, json.Unmarshal([]byte(`{"roles":[`+c.roles+`]}`), &s), name)
		done, left := s.drained(c.o)
		require.Equal(t, c.done, done, "%s: %s", name, left)
		require.NotEmpty(t, left, name)
	}
}
