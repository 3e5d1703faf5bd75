package alerts

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/deploy/monitoring"
)

// speed is how much faster than in the generated rules the time of an alert goes here.
const speed = 30

// spans are the times in a rules file: windows of ranges, offsets, and how long a condition has to hold.
var spans = regexp.MustCompile(`(\[|offset |for: )([0-9]+[smhd])`)

// faster divides the times of rules by [speed] and changes nothing else.
func faster(rules []byte) ([]byte, error) {
	var err error
	return spans.ReplaceAllFunc(rules, func(found []byte) []byte {
		parts := spans.FindSubmatch(found)
		d, bad := time.ParseDuration(string(parts[2]))
		if bad != nil || d%(speed*time.Second) != 0 {
			err = fmt.Errorf("%s: want a time that is whole seconds when it is divided by %d", found, speed)
		}
		return fmt.Appendf(nil, "%s%ds", parts[1], int((d / speed).Seconds()))
	}), err
}

func TestFasterRulesDifferInTimeAlone(t *testing.T) {
	t.Parallel()
	got, err := faster([]byte("expr: rate(m[5m]) > 300 unless m offset 1h\nfor: 10m\n"))
	require.NoError(t, err)
	require.Equal(t, "expr: rate(m[10s]) > 300 unless m offset 120s\nfor: 20s\n", string(got))
	_, err = faster([]byte("rate(m[45s])"))
	require.Error(t, err)

	rules, err := monitoring.Rules()
	require.NoError(t, err)
	quick, err := faster(rules)
	require.NoError(t, err)
	require.Equal(t, spans.ReplaceAllString(string(rules), "$1"), spans.ReplaceAllString(string(quick), "$1"))
	require.NotRegexp(t, `\[[0-9.]+[mhd]`, string(quick))
}
