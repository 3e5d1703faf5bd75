package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of CPU times in /proc: USER_HZ, 100 on every Linux.
const clockTick = 10 * time.Millisecond

// cpuOf returns the CPU that a process has used, user and system, by the kernel's account.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading CPU of a process: %w", err)
	}
	// The name, in brackets, may hold anything; utime and stime are the 14th and 15th field, the 12th and 13th after it.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	user, err := strconv.ParseInt(string(fields[11]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading CPU of a process: %w", err)
	}
	system, err := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// account is the CPU of processes over a time.
type account struct {
	names  []string
	pids   map[string][]int
	before map[string]time.Duration
	began  time.Time
}

// watch adds a process under a name, which several may have. A pid of 0 is that of a process that cannot be watched.
func (a *account) watch(name string, pid int) {
	if a.pids == nil {
		a.pids = map[string][]int{}
	}
	if pid == 0 {
		return
	}
	if a.pids[name] == nil {
		a.names = append(a.names, name)
	}
	a.pids[name] = append(a.pids[name], pid)
}

func (a *account) read() (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for name, pids := range a.pids {
		for _, pid := range pids {
			used, err := cpuOf(pid)
			if err != nil {
				return nil, err
			}
			out[name] += used
		}
	}
	return out, nil
}

// begin starts the time.
func (a *account) begin() (err error) {
	a.began = time.Now()
	a.before, err = a.read()
	return err
}

// end returns what was used since [account.begin], by name, and how long that was.
func (a *account) end() (used map[string]time.Duration, took time.Duration, err error) {
	took = time.Since(a.began)
	used, err = a.read()
	for name := range used {
		used[name] -= a.before[name]
	}
	return used, took, err
}
