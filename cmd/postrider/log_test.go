package main

import (
	"bytes"
	"log"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/view"
)

func TestLibrariesLogAtDebug(t *testing.T) {
	flags := log.Flags()
	t.Cleanup(func() {
		log.SetFlags(flags)
		log.SetOutput(os.Stderr)
		view.LogTo(slog.New(slog.DiscardHandler))
	})
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: `level=DEBUG msg=library text="Unsolicited response received on idle HTTP channel"`,
		slog.LevelInfo:  "",
	} {
		var out bytes.Buffer
		redirectLogs(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
		log.Print("Unsolicited response received on idle HTTP channel")
		require.Contains(t, out.String(), want)
		require.Equal(t, want == "", out.Len() == 0)
	}
}
