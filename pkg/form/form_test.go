package form_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/form"
)

func TestCheck(t *testing.T) {
	for _, understood := range []int{-1, 0, 1, 2, math.MinInt} {
		require.NoError(t, form.Check(understood, 2))
	}
	for _, newer := range []int{3, 4, math.MaxInt} {
		require.ErrorIs(t, form.Check(newer, 2), form.ErrNewer)
	}
	require.EqualError(t, form.Check(3, 2), "record version 3 is newer than this release understands, which is 2: upgrade what reads it")
}

type record struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
}

func TestRead(t *testing.T) {
	for text, want := range map[string]record{
		`{"name":"a"}`:                         {0, "a"},
		`{"version":1,"name":"a","colour":[]}`: {1, "a"},
		`{"version":2,"name":"a"}`:             {2, "a"},
	} {
		var r record
		require.NoError(t, form.Read([]byte(text), &r, &r.Version, 2), "%s", text)
		require.Equal(t, want, r)
	}
	for _, newer := range []string{`{"version":3}`, `{"name":{"first":"a"},"version":3}`, `{"version":3,"name":[]}`} {
		var r record
		require.ErrorIs(t, form.Read([]byte(newer), &r, &r.Version, 2), form.ErrNewer, "%s", newer)
	}
	for _, none := range []string{``, `{`, `[]`, `{"name":1}`, `{"version":2,"name":1}`, `{"version":"3"}`, `{"version":3`} {
		var r record
		err := form.Read([]byte(none), &r, &r.Version, 2)
		require.Error(t, err, "%s", none)
		require.NotErrorIs(t, err, form.ErrNewer, "%s", none)
	}
}

// Whatever it is, what has a higher version is said to be newer, and nothing else is.
func FuzzRead(f *testing.F) {
	for _, text := range []string{`{"version":3,"name":[]}`, `{"version":1e1}`, `{"version":99999999999999999999}`, `{"VERSION":3}`, `null`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r record
		err := form.Read(text, &r, &r.Version, 2)
		var of struct{ Version int }
		if json.Unmarshal(text, &of) == nil && of.Version > 2 {
			require.ErrorIs(t, err, form.ErrNewer)
		} else {
			require.NotErrorIs(t, err, form.ErrNewer)
		}
	})
}
