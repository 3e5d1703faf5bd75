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

// jvm are the flags of a Java process.
type jvm struct{ heap, performance []string }

// brief is for what runs for minutes: a small heap, the collector with the
// fewest threads, and the quick compiler alone, which halves the time to start.
// Such a broker never runs long enough to earn the slow one.
var brief = jvm{[]string{"-Xms64m", "-Xmx384m"}, []string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}}

// measured has the heap and the collector of Kafka's own start script: with those of
// brief a broker under load stands still for 10 ms every second, and the p99 of
// whatever is measured is that. The slow compiler stays off: it would work for
// minutes on the processors that are measured.
var measured = jvm{
	[]string{"-Xms1g", "-Xmx1g"},
	[]string{
		"-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
		"-XX:TieredStopAtLevel=1",
	},
}

func (o Options) jvm() jvm {
	if o.Measured {
		return measured
	}
	return brief
}

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
	common := []string{"-Dlog4j2.configurationFile=" + logging, "-cp", filepath.Join(jars, "*")}
	format := slices.Concat(brief.heap, brief.performance, common, []string{
		"kafka.tools.StorageTool", "format", "--cluster-id", c.id, "--config", server,
	})
	if out, err := exec.CommandContext(ctx, java, format...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("formatting storage: %w\n%s", err, out)
	}
	flags := c.options.jvm()
	return &node.Child{
		Command: slices.Concat([]string{java}, flags.heap, flags.performance, common, []string{"kafka.Kafka", server}),
		Dir:     dir,
		LogFile: filepath.Join(dir, "broker.log"),
	}, nil
}
