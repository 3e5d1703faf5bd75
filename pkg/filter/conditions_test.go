package filter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/event"
)

func conditions(strategy string, all ...Condition) Conditions {
	return Conditions{Strategy: strategy, Conditions: all}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	email := Condition{"IsOneOf", "InitialChannel", []string{"EMAIL", "WIDGET_CHAT"}}
	notEmail := Condition{"IsNotOneOf", "InitialChannel", []string{"EMAIL"}}
	queue := Condition{"IsOneOf", "QueueId", []string{"q1"}}
	notQueue := Condition{"IsNotOneOf", "QueueId", []string{`"]'`, "ö\x00\n😀"}}
	origin := Condition{"IsNotOneOf", "OperationOrigin", []string{"Bot"}}
	const (
		mail    = `{"conversation":{"channel":"EMAIL","queue":{"id":"q1"}}}`
		chat    = `{"conversation":{"channel":"WIDGET_CHAT","queue":{"id":"ö\u0000\n😀"},"operation_origin":"Bot"}}`
		noQueue = `{"conversation":{"channel":"EMAIL","queue":null}}`
		bare    = `{"conversation":{}}`
		other   = `{"contact":{}}`
	)
	for _, c := range []struct {
		conditions Conditions
		passes     []string
	}{
		{conditions("All", email), []string{mail, chat, noQueue}},
		{conditions("All", notEmail), []string{chat, bare, other}},
		{conditions("All", queue), []string{mail}},
		{conditions("All", notQueue), []string{mail, noQueue, bare, other}},
		{conditions("All", origin), []string{mail, noQueue, bare, other}},
		{conditions("All", email, notQueue), []string{mail, noQueue}},
		{conditions("Any", queue, notEmail), []string{mail, chat, bare, other}},
		{conditions("Any", queue, email), []string{mail, chat, noQueue}},
		{conditions("All", queue, notEmail), nil},
	} {
		expression, err := c.conditions.Expression()
		require.NoError(t, err)
		program, err := Compile(expression)
		require.NoError(t, err, expression)
		var passes []string
		for _, data := range []string{mail, chat, noQueue, bare, other} {
			ev := &event.Event{Type: "CONVERSATION_CREATED", Time: time.Unix(1, 0), ContentType: "application/json", Data: []byte(data)}
			if ok, _ := program.Match(NewInput(ev)); ok {
				passes = append(passes, data)
			}
		}
		require.Equal(t, c.passes, passes, expression)
	}
}

func TestConditionsThatAreNone(t *testing.T) {
	t.Parallel()
	good := Condition{"IsOneOf", "QueueId", []string{"q"}}
	for want, c := range map[string]Conditions{
		`strategy: "all": want All or Any`:      conditions("all", good),
		"conditions: 0: want 1 to 20":           conditions("All"),
		"conditions: 21: want 1 to 20":          conditions("All", make([]Condition, 21)...),
		`conditions[1].operator: "Is": want Is`: conditions("All", good, Condition{"Is", "QueueId", []string{"q"}}),
		`conditions[0].field: "Queue": want one of [InitialChannel OperationOrigin QueueId]`: conditions("All", Condition{"IsOneOf", "Queue", []string{"q"}}),
		"conditions[0].values: 0: want 1 to 50":                                              conditions("All", Condition{"IsOneOf", "QueueId", nil}),
		"conditions[0].values: 51: want 1 to 50":                                             conditions("All", Condition{"IsOneOf", "QueueId", make([]string, 51)}),
	} {
		_, err := c.Expression()
		require.ErrorContains(t, err, want)
	}
}
