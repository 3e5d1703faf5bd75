package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program returns the path of a program. If it is missing, and this process is
// root on a machine with apt-get, it installs the Debian package that has it;
// otherwise the error says what to install.
func Program(ctx context.Context, name, debianPackage string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return "", fmt.Errorf("%s is missing: install it (Debian and Ubuntu: apt-get install %s)", name, debianPackage)
	}
	// Test processes run side by side; dpkg lets only one of them in.
	err := Locked(filepath.Join(os.TempDir(), "postrider-apt.lock"), func() error {
		if _, err := exec.LookPath(name); err == nil {
			return nil
		}
		if err := aptGet(ctx, "update", "-q"); err != nil {
			return err
		}
		return aptGet(ctx, "install", "-q", "-y", "--no-install-recommends", debianPackage)
	})
	if err != nil {
		return "", fmt.Errorf("installing %s: %w", debianPackage, err)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("looking for %s after installing %s: %w", name, debianPackage, err)
	}
	return path, nil
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	// RUNLEVEL=1 keeps the package from starting its server as a service.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running apt-get %s: %w\n%s", args[0], err, tail(string(out)))
	}
	return nil
}
