package main

import "syscall"

// attributes puts the child into a group of its own and lets the kernel end it should this process die.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
