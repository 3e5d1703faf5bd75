// Package embedded is what `postrider dev` runs instead of a cluster, all of it in this process: a Kafka broker that keeps
// its data in a directory, and a Redis in memory. Neither is for production.
package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Dir is a data directory that this process has to itself.
type Dir struct {
	// Path is the directory.
	Path string
	// Log is the file for everything that is logged; the one of the start before is beside it, with ".1" at its end.
	Log  *os.File
	lock *os.File
}

// Names of what is in a [Dir].
const (
	kafkaDir = "kafka"
	logFile  = "postrider.log"
	lockFile = "lock"
)

// ErrInUse says that another process has the directory.
var ErrInUse = errors.New("is in use by another process")

// OpenDir makes the directory if there is none and locks it. Fresh removes what a broker left in it, and nothing else.
func OpenDir(path string, fresh bool) (_ *Dir, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making data directory: %w", err)
	}
	d := &Dir{Path: path}
	d.lock, err = os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the caller names the directory
	if err != nil {
		return nil, fmt.Errorf("opening lock: %w", err)
	}
	if err := lock(d.lock); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: %w", path, err), d.lock.Close())
	}
	if fresh {
		if err := os.RemoveAll(filepath.Join(path, kafkaDir)); err != nil {
			return nil, errors.Join(fmt.Errorf("removing old data: %w", err), d.lock.Close())
		}
	}
	log := filepath.Join(path, logFile)
	if err := os.Rename(log, log+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("keeping the last log: %w", err), d.lock.Close())
	}
	if d.Log, err = os.Create(log); err != nil { //nolint:gosec // likewise
		return nil, errors.Join(fmt.Errorf("making log file: %w", err), d.lock.Close())
	}
	return d, nil
}

// Close gives the directory back.
func (d *Dir) Close() error { return errors.Join(d.Log.Close(), d.lock.Close()) }
