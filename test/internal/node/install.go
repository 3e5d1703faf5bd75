package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// installLimit bounds an installation: it takes half a minute, on a busy machine two.
const installLimit = 5 * time.Minute

// Install returns the directory of that name in the cache, which into fills if it is not there. Test processes run side by
// side; one of them fills it, under another name until it is complete.
func Install(ctx context.Context, name string, into func(context.Context, string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache directory: %w", err)
	}
	cache = filepath.Join(cache, "postrider", "tests")
	directory := filepath.Join(cache, name)
	ctx, cancel := context.WithTimeoutCause(ctx, installLimit, fmt.Errorf("not done within %s", installLimit))
	defer cancel()
	err = Locked(directory+".lock", func() error {
		if _, err := os.Stat(directory); err == nil {
			return nil
		}
		unfinished := directory + ".unfinished"
		if err := os.RemoveAll(unfinished); err != nil {
			return err
		}
		if err := os.Mkdir(unfinished, 0o755); err != nil {
			return err
		}
		if err := into(ctx, unfinished); err != nil {
			return err
		}
		return os.Rename(unfinished, directory)
	})
	if err != nil {
		return "", fmt.Errorf("installing %s: %w", name, err)
	}
	return directory, nil
}

// NPM returns the directory in whose node_modules the packages are, name@version each, of which the first one names the
// directory. They come from the registry once, without running what they bring.
func NPM(ctx context.Context, packages ...string) (string, error) {
	npm, err := Program(ctx, "npm", "npm")
	if err != nil {
		return "", err
	}
	return Install(ctx, "javascript-"+packages[0], func(ctx context.Context, directory string) error {
		args := []string{"install", "--prefix", directory, "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"}
		return Run(ctx, npm, append(args, packages...)...)
	})
}

// Run runs a program to its end. What it said is in the error.
func Run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = 5 * time.Second // what it started may hold its output
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("running %s: %w\n%s", filepath.Base(program), err, out), context.Cause(ctx))
	}
	return nil
}
