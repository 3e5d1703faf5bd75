package catalogue

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
)

func BenchmarkCompile(b *testing.B) {
	et, _ := benched(b)
	_, schema, _ := et.Current()
	for b.Loop() {
		if _, err := compile(schema); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	et, payload := benched(b)
	validators := NewValidators(10)
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		if err := validators.Check(et, payload); err != nil {
			b.Fatal(err)
		}
	}
}

func benched(b *testing.B) (*EventType, []byte) {
	b.Helper()
	raw, err := configs.Catalogues.ReadFile("catalogues/dixa.yaml")
	require.NoError(b, err)
	f, err := ParseFile("dixa.yaml", raw)
	require.NoError(b, err)
	et := &f.EventTypes[6]
	et.Version = 1
	payload, err := Example(et, 0)
	require.NoError(b, err)
	return et, payload
}
