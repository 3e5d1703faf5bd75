package notice

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
)

var (
	ops    = Recipient{Email, "ops@example.com"}
	room   = Recipient{Slack, "https://chat.example/x"}
	timing = Timing{Gather: time.Minute, Every: time.Hour}
)

func finding(kind Kind, n int, v Verdict) Finding {
	return Finding{Problem: Problem{Kind: kind, Subscription: ident.Derive("test", fmt.Sprint(n))}, Verdict: v, Detail: "why"}
}

// told says in short what a recipient has to be told at a time: what is new, what is well, what goes on, and in how long.
func told(tn *Tenant, r Recipient, at time.Time) string {
	n, due, ok := tn.News(r, timing)
	if !ok {
		return "nothing"
	}
	return fmt.Sprintf("%d bad %d well %d still in %s", len(n.Bad), len(n.Well), n.Still, max(0, due.Sub(at)))
}

func take(t *testing.T, tn *Tenant, r Recipient, at time.Time) {
	t.Helper()
	n, _, ok := tn.News(r, timing)
	require.True(t, ok)
	tn.Taken(r, n, at)
}

func empty(t *testing.T) *Tenant {
	t.Helper()
	tn, err := ReadTenant(nil)
	require.NoError(t, err)
	return tn
}

func TestANoticeWaitsForMoreAndThenForItsTurn(t *testing.T) {
	t.Parallel()
	tn := empty(t)
	require.Equal(t, "nothing", told(tn, ops, now))
	tn.Fold([]Finding{finding(Disabled, 1, Bad), finding(Failing, 2, Well), finding(Failing, 3, Unknown)}, now)
	require.Equal(t, "1 bad 0 well 0 still in 1m0s", told(tn, ops, now))
	tn.Fold([]Finding{finding(Disabled, 1, Bad), finding(Failing, 2, Bad)}, now.Add(30*time.Second))
	require.Equal(t, "2 bad 0 well 0 still in 30s", told(tn, ops, now.Add(30*time.Second)))
	take(t, tn, ops, now.Add(time.Minute))
	require.Equal(t, "nothing", told(tn, ops, now))
	require.Equal(t, "2 bad 0 well 0 still in 0s", told(tn, room, now.Add(time.Minute)), "another recipient has its own account")

	// What comes and goes within the hour is not told; what is well again is, with what is new.
	at := now.Add(11 * time.Minute)
	tn.Fold([]Finding{finding(Disabled, 1, Unknown), finding(Failing, 2, Well), finding(Failing, 3, Bad), finding(SuccessRate, 4, Bad)}, at)
	require.Equal(t, "2 bad 1 well 1 still in 50m0s", told(tn, ops, at))
	tn.Fold([]Finding{finding(Disabled, 1, Unknown), finding(Failing, 2, Well), finding(Failing, 3, Well), finding(SuccessRate, 4, Bad)}, at)
	require.Equal(t, "1 bad 1 well 1 still in 50m0s", told(tn, ops, at))
	take(t, tn, ops, at.Add(50*time.Minute))
	require.Equal(t, "nothing", told(tn, ops, at))

	// What is bad again is new again; what is not spoken of any more is forgotten without a word.
	tn.Fold([]Finding{finding(Failing, 2, Bad)}, at.Add(2*time.Hour))
	require.Equal(t, "1 bad 0 well 0 still in 1m0s", told(tn, ops, at.Add(2*time.Hour)))
	tn.Fold(nil, at.Add(3*time.Hour))
	require.Equal(t, "nothing", told(tn, ops, at))
	require.Empty(t, tn.Told(ops).Problems)
}

// A problem that is bad again before its end was told of is no news.
func TestFlapping(t *testing.T) {
	t.Parallel()
	tn := empty(t)
	tn.Fold([]Finding{finding(Failing, 1, Bad)}, now)
	take(t, tn, ops, now)
	for i := range 10 {
		tn.Fold([]Finding{finding(Failing, 1, []Verdict{Well, Bad}[i%2])}, now.Add(time.Duration(i)*time.Second))
	}
	require.Equal(t, "nothing", told(tn, ops, now))
}

func TestANoticeThatIsNotTakenIsTriedAgain(t *testing.T) {
	t.Parallel()
	tn := empty(t)
	tn.Fold([]Finding{finding(Failing, 1, Bad)}, now)
	at := now.Add(time.Minute)
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		tn.NotTaken(ops, "it is away", false, at)
		require.Equal(t, fmt.Sprintf("1 bad 0 well 0 still in %s", pause*time.Minute), told(tn, ops, at))
		at = at.Add(pause * time.Minute)
	}
	require.Equal(t, Told{Failures: 8, Error: "it is away", Retry: at}, tn.Told(ops))
	// With what is true by then, in one notice.
	tn.Fold([]Finding{finding(Failing, 1, Well), finding(Disabled, 2, Bad)}, at)
	n, _, _ := tn.News(ops, timing)
	require.Equal(t, []Item{{finding(Disabled, 2, Bad).Problem, at, "why"}}, n.Bad)
	tn.Taken(ops, n, at)
	require.Equal(t, Told{Sent: at, Problems: map[Problem]time.Time{n.Bad[0].Problem: at}}, tn.Told(ops))

	tn.NotTaken(room, "no such chat", true, at)
	require.Equal(t, at.Add(time.Hour), tn.Told(room).Retry, "who refuses is not asked again soon")
	tn.Keep([]Recipient{ops})
	require.Zero(t, tn.Told(room))
}

// After a restart nothing is told twice, and an end that came meanwhile is told.
func TestStateSurvives(t *testing.T) {
	t.Parallel()
	tn := empty(t)
	tn.Fold([]Finding{finding(Failing, 1, Bad), finding(Failing, 2, Bad)}, now)
	take(t, tn, ops, now)
	tn.NotTaken(room, "it is away", false, now)
	raw, err := tn.State()
	require.NoError(t, err)
	require.NotContains(t, string(raw), "example")

	again, err := ReadTenant(raw)
	require.NoError(t, err)
	require.Equal(t, tn.Told(ops), again.Told(ops))
	again.Fold([]Finding{finding(Failing, 1, Bad), finding(Failing, 2, Well)}, now.Add(time.Minute))
	require.Equal(t, "0 bad 1 well 1 still in 59m0s", told(again, ops, now.Add(time.Minute)))
	require.Equal(t, "1 bad 0 well 0 still in 1m0s", told(again, room, now), "who was told nothing is told what is open")

	lost := empty(t)
	lost.Fold([]Finding{finding(Failing, 1, Bad)}, now.Add(time.Minute))
	require.Equal(t, "1 bad 0 well 0 still in 1m0s", told(lost, ops, now.Add(time.Minute)), "one notice more, if the state is lost")
	for _, bad := range []string{"{", `{"to":{"x":{"problems":{"y":"z"}}}}`} {
		got, err := ReadTenant([]byte(bad))
		require.Error(t, err, bad)
		require.Equal(t, "nothing", told(got, ops, now), "it is good to go on with")
	}
	odd, err := ReadTenant([]byte(`{"to":{"x":null}}`))
	require.NoError(t, err)
	require.Equal(t, "nothing", told(odd, ops, now))
}

func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	tn := empty(t)
	var many []Finding
	for i := range 2 * MaxProblems {
		many = append(many, finding(Failing, i, Bad))
	}
	many = append(many, finding(Disabled, 0, Bad))
	for range 3 {
		tn.Fold(many, now)
		n, _, _ := tn.News(ops, timing)
		require.Len(t, n.Bad, MaxProblems)
		require.Equal(t, Disabled, n.Bad[0].Kind, "the worst first")
	}
}
