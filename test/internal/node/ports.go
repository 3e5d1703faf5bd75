package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports come from below the range that kernels hand to outgoing connections
// (Linux: from 32768). A port inside it can be taken, while its broker is
// down, by any client of the machine, even by a client that dials that very
// port and meets itself; then the broker cannot come back.
const (
	firstPort = 15000
	lastPort  = 31999
)

// claims keeps the lock files of the ports this process was given, so that
// several test processes never choose the same one between choosing and
// listening, nor while a server is down. They are released at exit.
var claims struct {
	sync.Mutex
	files []*os.File
}

// FreePorts returns n ports of 127.0.0.1 on which nothing listens and which no
// other caller on this machine is given as long as this process lives.
func FreePorts(ctx context.Context, n int) ([]int, error) {
	dir := filepath.Join(os.TempDir(), "postrider-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("making directory of port claims: %w", err)
	}
	claims.Lock()
	defer claims.Unlock()
	span := lastPort - firstPort + 1
	ports := make([]int, 0, n)
	for i, start := 0, rand.IntN(span); i < span && len(ports) < n; i++ {
		port := firstPort + (start+i)%span
		if claim(ctx, dir, port) {
			ports = append(ports, port)
		}
	}
	if len(ports) < n {
		return nil, errors.New("finding free ports: all are taken")
	}
	return ports, nil
}

func claim(ctx context.Context, dir string, port int) bool {
	file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return false
	}
	if flock(file, syscall.LOCK_EX|syscall.LOCK_NB) != nil || !bindable(ctx, port) {
		_ = file.Close()
		return false
	}
	claims.files = append(claims.files, file)
	return true
}

func bindable(ctx context.Context, port int) bool {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
