package audit_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/audit"
)

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		want                []string
	}{
		{"same", `{"a":1,"b":{"c":[1]}}`, `{"a":1,"b":{"c":[1]}}`, nil},
		{"changed", `{"b":1,"a":1}`, `{"b":2,"a":[]}`, []string{"a", "b"}},
		{"inside", `{"a":{"b":1}}`, `{"a":{"b":2}}`, []string{"a"}},
		{"added", `{}`, `{"a":null}`, []string{"a"}},
		{"removed", `{"a":1}`, `{}`, []string{"a"}},
		{"created", ``, `{"b":1,"a":1}`, []string{"a", "b"}},
		{"deleted", `{"a":1}`, ``, []string{"a"}},
		{"nothing", ``, ``, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, audit.Diff(json.RawMessage(c.before), json.RawMessage(c.after)))
		})
	}
}
