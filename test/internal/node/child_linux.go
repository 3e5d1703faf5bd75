package node

import "syscall"

// attributes puts the child into a group of its own, so that Ctrl-C reaches
// the test first, and lets the kernel end it should the test process die.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
