//go:build unix && !linux

package node

import "syscall"

// attributes puts the child into a group of its own, so that Ctrl-C reaches
// the test first. There is no parent-death signal here: what a killed test
// process leaves behind has to be ended by hand.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
