package main

import (
	"io"
	"log"
	"log/slog"
	"strings"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/view"
)

// newLogger returns the logger of a process: one line an event, to w.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// redirectLogs sends what libraries log on their own to logger, at debug level. net/http, for one, tells through the log
// package of every endpoint that sends more than it was asked for.
func redirectLogs(logger *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(libraryLog{logger})
	view.LogTo(logger)
}

// libraryLog takes the lines of the log package.
type libraryLog struct{ log *slog.Logger }

// Write implements io.Writer; the log package writes a line at a time.
func (l libraryLog) Write(line []byte) (int, error) {
	l.log.Debug("library", "text", strings.TrimRight(string(line), "\n"))
	return len(line), nil
}
