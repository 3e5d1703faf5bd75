package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testCase is a case of a script: a subscription of its own, and what happens to it. The commands, one a line:
//
//	case NAME                    begins it; the endpoint is https://hooks.example.com/NAME
//	header NAME: VALUE           the subscription has a header of its own
//	basic USER PASSWORD          or credentials
//	jitter N                     the random number in [0, 1) of retry policies; 0.5, which is an exact ladder, if not said
//	answer A…                    what the next requests are answered, the last one goes on; see [parseAnswer]
//	send EVENT [xN] [every D]    an event, or N of them, at once or with D in between
//	wait [D]                     until nothing is left to do, or for D
//	disabled?                    says whether the subscription is disabled
//	disable, enable              somebody disables or enables it
//
// In an event, {n} counts those that the case has sent, from 001.
//
// Cases behind a line that says "long" take long in real time, and come last: see [TestHistories].
type testCase struct {
	name     string
	commands []command
	long     bool
}

type command struct {
	line string // as it was written
	name string
	args []string
}

// words says how many arguments each command has at least.
var words = map[string]int{
	"header": 2, "basic": 2, "jitter": 1, "answer": 1, "send": 1, "wait": 0, "disabled?": 0, "disable": 0, "enable": 0,
}

func parse(script string) ([]testCase, error) {
	var cases []testCase
	long := false
	for n, line := range strings.Split(script, "\n") {
		args := strings.Fields(line)
		if len(args) == 0 || strings.HasPrefix(args[0], "#") {
			continue
		}
		name, args := args[0], args[1:]
		least, known := words[name]
		switch {
		case name == "long" && len(args) == 0:
			long = true
		case name == "case" && len(args) == 1:
			cases = append(cases, testCase{name: args[0], long: long})
		case !known || len(args) < least || len(cases) == 0:
			return nil, fmt.Errorf("script, line %d: %q is no command, or stands before the first case", n+1, line)
		default:
			c := &cases[len(cases)-1]
			c.commands = append(c.commands, command{line: strings.TrimSpace(line), name: name, args: args})
		}
	}
	return cases, nil
}

// parseEvents reads lines of a name and a CloudEvent in the JSON format.
func parseEvents(text string) (map[string]string, error) {
	events := map[string]string{}
	for line := range strings.Lines(text) {
		name, event, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || events[name] != "" {
			return nil, fmt.Errorf("events: %q: want a name of its own and a CloudEvent", line)
		}
		events[name] = event
	}
	return events, nil
}

// answer is what an endpoint does with a request.
type answer struct {
	status int
	header []string // name, value, …
	// hang: it says nothing; reset: it closes the connection; refuse: there is no connection.
	hang, reset, refuse bool
}

// parseAnswer reads a status with header fields, or what is no answer: 503, 503+retry-after:120, timeout, reset, refused; and,
// for several times the same, 500x14.
func parseAnswer(text string) ([]answer, error) {
	kind, rest, _ := strings.Cut(text, "+")
	kind, count, several := strings.Cut(kind, "x")
	times := 1
	if several {
		var err error
		if times, err = strconv.Atoi(count); err != nil || times < 1 {
			return nil, fmt.Errorf("answer %q: want a number behind x", text)
		}
	}
	var a answer
	switch kind {
	case "timeout":
		a.hang = true
	case "reset":
		a.reset = true
	case "refused":
		a.refuse = true
	default:
		var err error
		if a.status, err = strconv.Atoi(kind); err != nil || a.status < 200 {
			return nil, fmt.Errorf("answer %q: want a status, timeout, reset or refused", text)
		}
	}
	if rest != "" {
		name, value, ok := strings.Cut(rest, ":")
		if !ok {
			return nil, fmt.Errorf("answer %q: want name:value behind +", text)
		}
		a.header = append(a.header, name, value)
	}
	all := make([]answer, times)
	for i := range all {
		all[i] = a
	}
	return all, nil
}

// sending is what a send command asks for.
type sending struct {
	event string
	times int
	every time.Duration
}

func parseSend(args []string) (sending, error) {
	s := sending{event: args[0], times: 1}
	rest := args[1:]
	var err error
	if len(rest) > 0 && strings.HasPrefix(rest[0], "x") {
		if s.times, err = strconv.Atoi(rest[0][1:]); err != nil {
			return s, fmt.Errorf("send %v: want x and a number: %w", args, err)
		}
		rest = rest[1:]
	}
	if len(rest) == 2 && rest[0] == "every" {
		if s.every, err = time.ParseDuration(rest[1]); err != nil {
			return s, fmt.Errorf("send %v: %w", args, err)
		}
		rest = nil
	}
	if len(rest) > 0 {
		return s, fmt.Errorf("send %v: want an event, then xN, then every and a duration", args)
	}
	return s, nil
}

// A script that is not understood fails; it never leaves something out.
func TestScriptsAreRead(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"send created", "case a\nsned created", "case a\nanswer", "case", "case a b"} {
		_, err := parse(script)
		require.Error(t, err, script)
	}
	cases, err := parse("# text\ncase a\n\nanswer 500 200\nsend created x2 every 1m\nlong\ncase b\n")
	require.NoError(t, err)
	require.Len(t, cases, 2)
	require.False(t, cases[0].long)
	require.True(t, cases[1].long)
	require.Equal(t, command{line: "answer 500 200", name: "answer", args: []string{"500", "200"}}, cases[0].commands[0])
	s, err := parseSend(cases[0].commands[1].args)
	require.NoError(t, err)
	require.Equal(t, sending{event: "created", times: 2, every: time.Minute}, s)
	for _, args := range [][]string{{"a", "2"}, {"a", "xx"}, {"a", "every"}, {"a", "every", "soon"}, {"a", "x2", "b"}} {
		_, err := parseSend(args)
		require.Error(t, err, "%v", args)
	}
	for text, want := range map[string][]answer{
		"204": {{status: 204}}, "timeout": {{hang: true}}, "reset": {{reset: true}}, "refused": {{refuse: true}},
		"500x2": {{status: 500}, {status: 500}}, "503+retry-after:120": {{status: 503, header: []string{"retry-after", "120"}}},
	} {
		got, err := parseAnswer(text)
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"ok", "100", "500x0", "500xy", "500+retry-after"} {
		_, err := parseAnswer(text)
		require.Error(t, err, text)
	}
	_, err = parseEvents("one {}\none {}\n")
	require.Error(t, err)
}
