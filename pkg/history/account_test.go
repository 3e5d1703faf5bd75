package history

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
)

// What is known of a delivery decides its state, whatever else was read of it.
func TestState(t *testing.T) {
	for name, c := range map[string]struct {
		e    expected
		want state
	}{
		"nothing":                                {expected{open: none}, missing},
		"nothing, of an old event":               {expected{open: none, old: true}, unprovable},
		"written, and gone":                      {expected{open: none, written: true}, missing},
		"a retry that waits nowhere":             {expected{open: none, verdict: isOpen, pass: 1}, missing},
		"written, not tried":                     {expected{open: 0, written: true}, waiting},
		"to be tried again":                      {expected{open: 1, verdict: isOpen}, waiting},
		"parked":                                 {expected{open: 1, verdict: isOpen, parked: true}, parked},
		"delivered":                              {expected{open: none, verdict: isDelivered}, delivered},
		"delivered, not committed":               {expected{open: 0, verdict: isDelivered}, delivered},
		"delivered, a repeat waits":              {expected{open: 3, verdict: isDelivered, pass: 1, parked: true}, delivered},
		"dead":                                   {expected{open: none, verdict: isDead, pass: 2, buried: true}, dead},
		"dead, not committed":                    {expected{open: 2, verdict: isDead, pass: 2}, dead},
		"dead, and redriven":                     {expected{open: 3, verdict: isDead, pass: 2, buried: true}, waiting},
		"dead, whose outcome is gone":            {expected{open: none, buried: true, old: true}, dead},
		"cancelled":                              {expected{open: none, verdict: isCancelled}, cancelled},
		"dead once, then redriven and cancelled": {expected{open: none, verdict: isCancelled, pass: 3, buried: true}, cancelled},
	} {
		require.Equal(t, c.want, c.e.state(), name)
	}
}

// Every id falls to one pass and no other.
func TestLedgerPasses(t *testing.T) {
	l := newLedger(7)
	counts := map[ident.ID]int{}
	for pass := range 7 {
		l.begin(pass)
		for i := range 1000 {
			l.expect(ident.Derive("test", string(rune(i))), ident.Derive("test", "s"), 0, int64(i), false)
		}
		require.InDelta(t, 1000/7, len(l.entries), 60)
		for id := range l.entries {
			counts[id]++
		}
	}
	require.Len(t, counts, 1000)
	for _, n := range counts {
		require.Equal(t, 1, n)
	}
	require.Len(t, l.subs, 1)
}

// Accounts may overlap after a crash; each is open from its first offset to its last.
func TestSweep(t *testing.T) {
	s := sweep{all: []account{{first: 2, last: 3}, {first: 2, last: 9}, {first: 4, last: 6}, {first: 7, last: 7}}}
	lasts := func(all []tally) (out []int64) {
		for _, t := range all {
			out = append(out, t.last)
		}
		return out
	}
	require.Empty(t, s.to(1))
	require.Empty(t, s.active)
	require.Empty(t, s.to(2))
	require.Equal(t, []int64{3, 9}, lasts(s.active))
	require.Equal(t, []int64{3}, lasts(s.to(4)))
	require.Equal(t, []int64{9, 6}, lasts(s.active))
	require.Equal(t, []int64{6, 7}, lasts(s.to(8)), "one was jumped over")
	require.Equal(t, []int64{9}, lasts(s.to(100)))
	require.Empty(t, s.active)
}

func TestCovered(t *testing.T) {
	r := &reconciler{knownFrom: 10, routed: map[int32][]account{1: {
		{first: 0, last: 4, registry: 9}, {first: 5, last: 9, registry: 10}, {first: 8, last: 12, registry: 11}, {first: 11, last: 20, registry: 9},
	}}}
	for offset, want := range map[int64][2]bool{0: {true, false}, 5: {true, true}, 9: {true, true}, 10: {true, true}, 12: {true, false}, 21: {false, false}} {
		covered, known := r.covered(1, offset)
		require.Equal(t, want, [2]bool{covered, known}, "offset %d", offset)
	}
	covered, _ := r.covered(0, 5)
	require.False(t, covered)
}
