package clients

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/postrider/postrider/test/internal/node"
)

// The clients, with all that they need, so that a run tomorrow is the run of today.
var (
	javaScriptPackages = []string{"svix@2.5.0", "standardwebhooks@1.1.1", "@stablelib/base64@1.0.1", "fast-sha256@1.3.0"}
	// JSON Web Encryption, which a receiver of encrypted payloads needs beside the client.
	josePackages   = []string{"jose@6.2.17"}
	pythonPackages = []string{
		"svix==2.9.1", "standardwebhooks==1.1.0", "httpx==0.28.1", "httpcore==1.0.9", "h11==0.16.0", "anyio==4.16.0", "idna==3.20",
		"certifi==2026.10.18", "attrs==26.1.0", "deprecated==1.3.1", "wrapt==2.5.2", "pydantic==2.14.3", "python-dateutil==4.0.0",
	}
)

// client is a client that is installed.
type client struct {
	program   string // absolute path of node or python
	directory string // of the packages
}

// installJavaScript returns Node.js and the client for it.
func installJavaScript(ctx context.Context) (client, error) {
	return installNPM(ctx, javaScriptPackages)
}

// installNPM returns Node.js and the packages, of which the first one names the directory.
func installNPM(ctx context.Context, packages []string) (client, error) {
	program, err := node.Program(ctx, "node", "nodejs")
	if err != nil {
		return client{}, err
	}
	directory, err := node.NPM(ctx, packages...)
	return client{program, directory}, err
}

// installPython returns Python and the client for it, which holds native code for this version of Python.
func installPython(ctx context.Context) (client, error) {
	program, err := node.Program(ctx, "python3", "python3")
	if err != nil {
		return client{}, err
	}
	if node.Run(ctx, program, "-m", "pip", "--version") != nil {
		if _, err := node.Program(ctx, "pip3", "python3-pip"); err != nil {
			return client{}, err
		}
	}
	tag, err := exec.CommandContext(ctx, program, "-c",
		"import platform, sys; print(sys.implementation.cache_tag + '-' + platform.machine())").Output()
	if err != nil {
		return client{}, fmt.Errorf("asking Python for its version: %w", err)
	}
	name := "python-" + pythonPackages[0] + "-" + strings.TrimSpace(string(tag))
	directory, err := node.Install(ctx, name, func(ctx context.Context, directory string) error {
		args := []string{"-m", "pip", "install", "--target", directory, "--no-compile", "--no-warn-conflicts", "--disable-pip-version-check"}
		return node.Run(ctx, program, append(args, pythonPackages...)...)
	})
	return client{program, directory}, err
}
