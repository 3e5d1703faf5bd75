package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// Times an engine may take. They are wide: the machine may be busy building
// images, and a limit only has to be shorter than a test's patience.
const (
	pingLimit   = 2 * time.Second  // an engine that is there answers in milliseconds
	pullLimit   = 3 * time.Minute  // about 400 MB over a modest line
	engineLimit = 60 * time.Second // any other request
)

// Container is a [Node] in a container of the local engine.
//
// It shares the network of the machine: a broker has to advertise an address
// that is right for its clients and for the other brokers, and with one
// network 127.0.0.1:port is right for all of them.
type Container struct {
	Image string
	Cmd   []string // nil: the image's own
	Env   map[string]string
	Files map[string]string // path in the container to content, put there once
	// Restricted runs it as the restricted profile of Kubernetes wants it: a file system that nobody writes, no capabilities, and
	// no way to get more. It cannot have Files.
	Restricted bool

	ctr *testcontainers.DockerContainer
	api client.APIClient
}

var _ Node = (*Container)(nil)

// Start creates the container the first time and runs it.
func (c *Container) Start(ctx context.Context) error {
	if c.ctr == nil {
		if err := c.create(ctx); err != nil {
			return err
		}
	}
	if err := c.ctr.Start(ctx); err != nil {
		return fmt.Errorf("starting container of %s: %w", c.Image, err)
	}
	return nil
}

func (c *Container) create(ctx context.Context) error {
	provider, err := engine()
	if err != nil {
		return err
	}
	req := testcontainers.ContainerRequest{
		Image: c.Image,
		Cmd:   c.Cmd,
		Env:   c.Env,
		HostConfigModifier: func(host *container.HostConfig) {
			host.NetworkMode = "host"
			if c.Restricted {
				host.ReadonlyRootfs, host.CapDrop, host.SecurityOpt = true, []string{"ALL"}, []string{"no-new-privileges"}
			}
		},
		// Where the engine has no bridge, the library would add a network of its own.
		EndpointSettingsModifier: func(endpoints map[string]*network.EndpointSettings) { clear(endpoints) },
	}
	for path, content := range c.Files {
		req.Files = append(req.Files, testcontainers.ContainerFile{
			Reader: strings.NewReader(content), ContainerFilePath: path, FileMode: 0o644,
		})
	}
	made, err := provider.CreateContainer(ctx, req)
	if ctr, ok := made.(*testcontainers.DockerContainer); ok && ctr != nil {
		c.ctr, c.api = ctr, provider.Client() // kept on errors too, for Remove
	}
	if err != nil {
		return fmt.Errorf("creating container of %s: %w", c.Image, err)
	}
	return nil
}

// Stop sends the image's stop signal; after 30 s the engine kills it.
func (c *Container) Stop(ctx context.Context) error {
	if !c.Running(ctx) {
		return nil
	}
	limit := stopLimit
	if err := c.ctr.Stop(ctx, &limit); err != nil {
		return fmt.Errorf("stopping container: %w", err)
	}
	return nil
}

// Kill implements [Node].
func (c *Container) Kill(ctx context.Context) error {
	if !c.Running(ctx) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, engineLimit)
	defer cancel()
	// The wait is asked for first: it must not miss the end.
	ended := c.api.ContainerWait(ctx, c.ctr.GetContainerID(), client.ContainerWaitOptions{
		Condition: container.WaitConditionNotRunning,
	})
	if _, err := c.api.ContainerKill(ctx, c.ctr.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		return fmt.Errorf("killing container: %w", err)
	}
	select {
	case <-ended.Result:
		return nil
	case err := <-ended.Error:
		return fmt.Errorf("waiting for killed container: %w", err)
	}
}

// Pause implements [Node].
func (c *Container) Pause(ctx context.Context) error {
	if c.ctr == nil {
		return errors.New("pausing container: not started")
	}
	if _, err := c.api.ContainerPause(ctx, c.ctr.GetContainerID(), client.ContainerPauseOptions{}); err != nil {
		return fmt.Errorf("pausing container: %w", err)
	}
	return nil
}

// Resume implements [Node].
func (c *Container) Resume(ctx context.Context) error {
	if c.ctr == nil {
		return errors.New("resuming container: not started")
	}
	if _, err := c.api.ContainerUnpause(ctx, c.ctr.GetContainerID(), client.ContainerUnpauseOptions{}); err != nil {
		return fmt.Errorf("resuming container: %w", err)
	}
	return nil
}

// Running implements [Node].
func (c *Container) Running(ctx context.Context) bool {
	if c.ctr == nil {
		return false
	}
	state, err := c.ctr.State(ctx)
	return err == nil && state.Running
}

// PID is the id of the container's process on this machine; 0 if it does not run.
func (c *Container) PID(ctx context.Context) int {
	if c.ctr == nil {
		return 0
	}
	state, err := c.ctr.State(ctx)
	if err != nil {
		return 0
	}
	return state.Pid
}

// ExitCode returns the exit code of a container that has ended.
func (c *Container) ExitCode(ctx context.Context) (int, error) {
	state, err := c.ctr.State(ctx)
	if err != nil {
		return -1, fmt.Errorf("asking for the end of container: %w", err)
	}
	return state.ExitCode, nil
}

// Log returns the end of what the container wrote.
func (c *Container) Log() string {
	if c.ctr == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineLimit)
	defer cancel()
	logs, err := c.ctr.Logs(ctx)
	if err != nil {
		return fmt.Sprintf("reading log of container: %v", err)
	}
	defer func() { _ = logs.Close() }()
	data, err := io.ReadAll(logs)
	if err != nil && len(data) == 0 {
		return fmt.Sprintf("reading log of container: %v", err)
	}
	return tail(string(data))
}

// Remove kills and removes the container with its data.
func (c *Container) Remove() error {
	if c.ctr == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineLimit)
	defer cancel()
	if err := c.Kill(ctx); err != nil {
		return err
	}
	if err := c.ctr.Terminate(ctx); err != nil {
		return fmt.Errorf("removing container: %w", err)
	}
	c.ctr = nil
	return nil
}

// quiet keeps the library from narrating in the output of the tests; part of it
// only heeds its package's default.
var quiet = sync.OnceFunc(func() { log.SetDefault(silent{}) })

type silent struct{}

func (silent) Printf(string, ...any) {}

func engine() (*testcontainers.DockerProvider, error) {
	quiet()
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(silent{}),
		testcontainers.WithDefaultBridgeNetwork(testcontainers.Bridge))
	if err != nil {
		return nil, fmt.Errorf("reaching container engine: %w", err)
	}
	return provider, nil
}

// haveImage returns nil if an engine answers and has the image, pulling it if
// it must.
func haveImage(ctx context.Context, image string) error {
	provider, err := engine()
	if err != nil {
		return err
	}
	defer func() { _ = provider.Close() }()
	ping, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	if _, err := provider.Client().Ping(ping, client.PingOptions{}); err != nil {
		return fmt.Errorf("reaching container engine: %w", err)
	}
	_, err = provider.Client().ImageInspect(ctx, image)
	if !errdefs.IsNotFound(err) {
		return err
	}
	pull, cancel := context.WithTimeout(ctx, pullLimit)
	defer cancel()
	if err := provider.PullImage(pull, image); err != nil {
		return fmt.Errorf("pulling image %s: %w", image, err)
	}
	return nil
}
