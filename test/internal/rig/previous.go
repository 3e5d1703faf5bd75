package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Release is one version of the product.
type Release struct{ Name, Binary string }

// Previous builds the release before this one out of its own commit: ref or, if that is empty, the last tag that is an ancestor
// of HEAD and not HEAD itself.
func (r *Rig) Previous(ctx context.Context, ref string) (Release, error) {
	root, err := git(ctx, ".", "rev-parse", "--show-toplevel")
	if err != nil {
		return Release{}, fmt.Errorf("looking for the repository that has the previous release: %w", err)
	}
	if ref == "" {
		if ref, err = lastTag(ctx, root); err != nil {
			return Release{}, err
		}
	}
	commit, err := git(ctx, root, "rev-parse", "--verify", ref+"^{commit}")
	if err != nil {
		return Release{}, fmt.Errorf("looking for the release %q: want a tag or a commit: %w", ref, err)
	}
	source := filepath.Join(r.Dir, "source-"+commit)
	if err := export(ctx, root, commit, source); err != nil {
		return Release{}, fmt.Errorf("taking out release %s: %w", ref, err)
	}
	out := Release{Name: ref, Binary: filepath.Join(r.Dir, "postrider-"+commit)}
	return out, build(ctx, source, out.Binary)
}

// Running returns a rig that shares all that r has and runs another release; [Rig.Close] is for r alone.
func (r *Rig) Running(other Release) *Rig {
	c := *r
	c.Binary = other.Binary
	return &c
}

// errNoTag tells people what to do: a clone without tags proves nothing, and must not look as if it did.
var errNoTag = errors.New("there is no previous release: no tag is an ancestor of HEAD (git fetch --tags), and none was named")

func lastTag(ctx context.Context, root string) (string, error) {
	head, err := git(ctx, root, "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	for _, at := range []string{"HEAD", "HEAD^"} { // HEAD may have the tag of the release that is about to be made
		tag, err := git(ctx, root, "describe", "--tags", "--abbrev=0", at)
		if err != nil {
			return "", errors.Join(errNoTag, err)
		}
		commit, err := git(ctx, root, "rev-parse", tag+"^{commit}")
		if err != nil {
			return "", err
		}
		if commit != head {
			return tag, nil
		}
	}
	return "", errNoTag
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
