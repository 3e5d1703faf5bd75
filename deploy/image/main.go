// Command image builds Postrider's container image without a registry, an engine or a base image: the static binary, the
// certificate authorities that Mozilla trusts, and a list of what it was made of. It is a module of its own, since nothing of
// Postrider needs those.
//
//	go run -C deploy/image . -o ../../bin
//
// What it writes depends on the source, the version of Go and the platform, and on nothing else: building it again gives the
// same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// maxBytes is what an image may take: it is pulled by every node.
const maxBytes = 40 << 20

func main() {
	b := build{}
	flag.StringVar(&b.source, "source", "../..", "the repository")
	flag.StringVar(&b.out, "o", "../../bin", "directory that the image is written to")
	flag.StringVar(&b.arch, "arch", runtime.GOARCH, "amd64 or arm64")
	flag.StringVar(&b.tag, "tag", "postrider:local", "name under which docker load has the image")
	flag.Parse()
	path, digest, err := b.run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Printf("%s %s\n", digest, path)
}

// build is one image to be made.
type build struct {
	source, out, arch, tag string
	env                    []string // of go build, over this process' own
}

// run builds the image and writes it as postrider-linux-ARCH.tar, and its bill of materials beside it.
func (b build) run(ctx context.Context) (path, digest string, err error) {
	dir, err := os.MkdirTemp("", "postrider-image-")
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "postrider")
	if err := b.compile(ctx, binary); err != nil {
		return "", "", err
	}
	bom, err := billOfMaterials(binary)
	if err != nil {
		return "", "", fmt.Errorf("listing what %s is made of: %w", binary, err)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return "", "", err
	}
	image, digest, err := b.archive([]file{
		{"etc/passwd", 0o644, []byte("postrider:x:65532:65532:Postrider:/:/postrider\n")},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, authorities()},
		{"postrider", 0o755, program},
		{"usr/share/doc/postrider/sbom.cdx.json", 0o644, bom},
	})
	if err != nil {
		return "", "", err
	}
	if len(image) > maxBytes {
		return "", "", fmt.Errorf("the image has %d bytes: want at most %d", len(image), maxBytes)
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return "", "", err
	}
	path = filepath.Join(b.out, "postrider-linux-"+b.arch+".tar")
	if err := os.WriteFile(strings.TrimSuffix(path, ".tar")+".cdx.json", bom, 0o644); err != nil {
		return "", "", err
	}
	return path, digest, os.WriteFile(path, image, 0o644)
}

// compile builds the binary. Nothing of this machine gets into it: no paths, no identifiers of builds, no newer instructions.
// Time zones are in the binary.
func (b build) compile(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags=timetzdata", "-ldflags=-s -w -buildid=", "-o", to, "./cmd/postrider")
	cmd.Dir, cmd.Stderr = b.source, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=")
	cmd.Env = append(cmd.Env, b.env...)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the binary: %w", err)
	}
	return nil
}
