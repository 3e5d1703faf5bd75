package rig

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Release is one version of the product.
type Release struct{ Name, Binary string }

// last is the release before this one. Its commit stands here, as not every clone has the tags; it changes with the first commit
// after a release.
var last = struct{ name, commit string }{"checkpoint2", "6a3c016839dcb31907bfbf4682e968df3ad3b719"}

// Previous builds the release before this one out of its own commit, or of ref, a tag or a commit, unless that is empty.
func (r *Rig) Previous(ctx context.Context, ref string) (Release, error) {
	root, err := git(ctx, ".", "rev-parse", "--show-toplevel")
	if err != nil {
		return Release{}, fmt.Errorf("looking for the repository that has the previous release: %w", err)
	}
	name, commit := last.name, last.commit
	if ref != "" {
		name, commit = ref, ref
	}
	if commit, err = resolve(ctx, root, commit); err != nil {
		return Release{}, err
	}
	source := filepath.Join(r.Dir, "source-"+commit)
	if err := export(ctx, root, commit, source); err != nil {
		return Release{}, fmt.Errorf("taking out release %s: %w", name, err)
	}
	out := Release{Name: name, Binary: filepath.Join(r.Dir, "postrider-"+commit)}
	return out, build(ctx, source, out.Binary)
}

// Running returns a rig that shares all that r has and runs another release; [Rig.Close] is for r alone.
func (r *Rig) Running(other Release) *Rig {
	c := *r
	c.Binary = other.Binary
	return &c
}

// resolve returns the commit of a tag or commit. A shallow clone does not have it, and proves nothing: it must not look as if
// it did.
func resolve(ctx context.Context, root, ref string) (string, error) {
	commit, err := git(ctx, root, "rev-parse", "--verify", ref+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("looking for the release %q: want a tag or a commit that this clone has (git fetch --unshallow --tags): %w", ref, err)
	}
	return commit, nil
}

// export writes the files of a commit to a directory that it makes.
func export(ctx context.Context, root, commit, into string) error {
	if err := os.Mkdir(into, 0o755); err != nil {
		return err
	}
	archive := into + ".tar"
	if _, err := git(ctx, root, "archive", "--output", archive, commit); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "tar", "-xf", archive, "-C", into).CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking: %w\n%s", err, out)
	}
	return nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
