package view

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// LogTo sends what the client library says to log, at debug level: it writes to standard error otherwise, and what
// matters of it comes back as an error. It holds for the whole process, whose main calls it.
func LogTo(log *slog.Logger) { redis.SetLogger(libraryLog{log}) }

// libraryLog is the library's logger.
type libraryLog struct{ log *slog.Logger }

// Printf implements the library's Logging.
func (l libraryLog) Printf(ctx context.Context, format string, args ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, "redis client", "text", fmt.Sprintf(format, args...))
	}
}
