package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Locked runs f while this process alone holds the lock file at path, which is
// made with its directory if missing. It blocks until the lock is free; a lock
// ends with the process that holds it, however that ends.
func Locked(path string, f func() error) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making directory of lock: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("opening lock: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := flock(file, syscall.LOCK_EX); err != nil {
		return fmt.Errorf("taking lock %s: %w", path, err)
	}
	return f()
}

// flock retries what the runtime's own signals interrupt.
func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
