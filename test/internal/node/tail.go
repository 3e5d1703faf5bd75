package node

import "strings"

// tailLines is how much of a log a failure shows: enough for a Java stack
// trace and what led to it.
const tailLines = 40

func tail(log string) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "\n")
}
