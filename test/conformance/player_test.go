package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
)

// player plays scripts in a world: one profile, one subscription at a time.
type player struct {
	w        *world.World
	profile  *profile.Profile
	secret   string
	events   map[string]string
	receiver *receiver
	network  *http.Transport
	attempts app.Options
	process  *world.Process
	random   float64

	sub    *subscription.Subscription
	sent   map[string]string // the event ids of the case, and what its history calls them
	writer *writer
}

// dixaSecret is 32 bytes in hexadecimal digits, as Dixa's secrets are.
const dixaSecret = "6b2f7c1de09a4853b7f1c6a2d94e0835f1a7c3e25d80964bb3e7150c8f2a6d49"

func newPlayer(t *testing.T, w *world.World, p *profile.Profile, events map[string]string) *player {
	t.Helper()
	pl := &player{w: w, profile: p, secret: world.Secret, events: events, receiver: &receiver{}}
	if p.Scheme().ValidateSecret(pl.secret) != nil {
		pl.secret = dixaSecret
	}
	require.NoError(t, p.Scheme().ValidateSecret(pl.secret))
	pl.network = pl.receiver.transport()
	w.Conf.Kafka.Dial = inStep(w.Conf.Kafka.Dial)
	pl.attempts = app.Options{Attempter: attempt.New(pl.network), Rand: func() float64 { return pl.random }}
	return pl
}

func (p *player) end() {
	p.asleep()
	p.network.CloseIdleConnections()
}

// play plays a case, from the next full hour on, and writes its history.
func (p *player) play(t *testing.T, to io.Writer, c testCase) {
	t.Helper()
	p.begin(t, c)
	fmt.Fprint(to, title(c))
	for _, command := range c.commands {
		fmt.Fprintf(to, "> %s\n", command.line)
		p.do(t, to, command)
	}
	p.settle(t)
	p.writer.write(t, to)
	fmt.Fprintln(to)
	p.writer.check(t)
	p.w.Put(registry.Delete(registry.Key{Kind: registry.KindSubscription, ID: p.sub.ID}, registry.Any))
}

func (p *player) begin(t *testing.T, c testCase) {
	t.Helper()
	p.asleep()
	at := time.Now().Add(lead + time.Hour).Truncate(time.Hour)
	p.random, p.sent = 0.5, map[string]string{}
	p.receiver.expect(nil)
	time.Sleep(time.Until(at) - lead)
	p.sub = &subscription.Subscription{
		ID: ident.Derive("conformance", c.name), Tenant: p.w.Tenant.ID, UID: c.name, Name: c.name,
		URL: "https://hooks.example.com/" + c.name, Profile: p.profile.Name, Secrets: []string{p.secret},
	}
	p.w.Put(registry.PutSubscription(p.sub))
	p.writer = &writer{player: p, seen: len(p.receiver.received())}
	p.awake()
	time.Sleep(time.Until(at))
}

// change changes the subscription, whoever changed it before.
func (p *player) change(how func(s *subscription.Subscription)) {
	now := *p.w.Subscription(p.sub.ID)
	how(&now)
	p.w.Put(registry.PutSubscription(&now))
}

func (p *player) do(t *testing.T, to io.Writer, c command) {
	t.Helper()
	switch c.name {
	case "header":
		p.change(func(s *subscription.Subscription) {
			s.Headers = map[string]string{strings.TrimSuffix(c.args[0], ":"): strings.Join(c.args[1:], " ")}
		})
	case "basic":
		p.change(func(s *subscription.Subscription) {
			s.Authorization = &subscription.Authorization{Username: c.args[0], Password: c.args[1]}
		})
	case "jitter":
		var err error
		p.random, err = strconv.ParseFloat(c.args[0], 64)
		require.NoError(t, err, c.line)
	case "answer":
		var answers []answer
		for _, arg := range c.args {
			some, err := parseAnswer(arg)
			require.NoError(t, err, c.line)
			answers = append(answers, some...)
		}
		p.receiver.expect(answers)
	case "send":
		s, err := parseSend(c.args)
		require.NoError(t, err, c.line)
		p.send(t, s)
	case "wait":
		p.wait(t, to, c)
	case "disabled?":
		fmt.Fprintln(to, describe(p.w.Subscription(p.sub.ID)))
	case "disable", "enable":
		p.change(func(s *subscription.Subscription) { s.Disabled = c.name == "disable" })
	}
}

func describe(s *subscription.Subscription) string {
	switch {
	case s.Locked:
		return "disabled, and locked: an operator enables it"
	case s.Disabled:
		return "disabled"
	default:
		return "enabled"
	}
}

func (p *player) wait(t *testing.T, to io.Writer, c command) {
	t.Helper()
	if len(c.args) == 0 {
		p.settle(t)
	} else {
		d, err := time.ParseDuration(c.args[0])
		require.NoError(t, err, c.line)
		p.until(time.Now().Add(d))
	}
	p.writer.write(t, to)
}

func (p *player) send(t *testing.T, s sending) {
	t.Helper()
	require.Contains(t, p.events, s.event)
	time.Sleep(time.Until(time.Now().Add(time.Second - 1).Truncate(time.Second)))
	if s.every == 0 {
		values := make([][]byte, s.times)
		for i := range values {
			values[i] = p.event(t, s.event)
		}
		p.w.Produce(p.w.Tenant.UID, values...)
		return
	}
	for next := time.Now(); s.times > 0; s.times-- {
		p.until(next)
		p.w.Produce(p.w.Tenant.UID, p.event(t, s.event))
		next = next.Add(s.every)
	}
}

// event returns the next event of that name.
func (p *player) event(t *testing.T, name string) []byte {
	t.Helper()
	n := fmt.Sprintf("%03d", len(p.sent)+1)
	text := strings.ReplaceAll(p.events[name], "{n}", n)
	var e struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(text), &e), "event %s", name)
	require.Empty(t, p.sent[e.ID], "event %s: its id needs {n}", name)
	p.sent[e.ID] = name + "-" + n
	return []byte(text)
}
