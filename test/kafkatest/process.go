package kafkatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/postrider/postrider/test/internal/node"
)

// jvm are the flags of every Java process: a small heap, the collector with the
// fewest threads, and the quick compiler alone, which halves the time to start.
// A test broker never runs long enough to earn the slow one.
var jvm = []string{"-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}

// process prepares broker i as a child process: it writes its files and formats
// its storage.
func (c *Cluster) process(ctx context.Context, i int) (node.Node, error) {
	java, err := node.Program(ctx, "java", javaPackage)
	if err != nil {
		return nil, err
	}
	jars, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.dir, fmt.Sprintf("broker-%d", nodeID(i)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making directory of broker: %w", err)
	}
	server := filepath.Join(dir, "server.properties")
	logging := filepath.Join(dir, "log4j2.properties")
	if err := os.WriteFile(server, []byte(c.properties(i, filepath.Join(dir, "data"))), 0o600); err != nil {
		return nil, fmt.Errorf("writing server.properties: %w", err)
	}
	if err := os.WriteFile(logging, log4j, 0o600); err != nil {
		return nil, fmt.Errorf("writing log4j2.properties: %w", err)
	}
	command := append([]string{java}, jvm...)
	command = append(command, "-Dlog4j2.configurationFile="+logging, "-cp", filepath.Join(jars, "*"))

	format := slices.Concat(command[1:], []string{
		"kafka.tools.StorageTool", "format", "--cluster-id", c.id, "--config", server,
	})
	if out, err := exec.CommandContext(ctx, java, format...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("formatting storage: %w\n%s", err, out)
	}
	return &node.Child{
		Command: append(command, "kafka.Kafka", server),
		Dir:     dir,
		LogFile: filepath.Join(dir, "broker.log"),
	}, nil
}
