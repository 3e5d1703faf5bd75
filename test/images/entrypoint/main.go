// Entrypoint runs Kafka in an image that has no shell. It keeps the contract of
// the official image as far as the tests rely on it: it formats the storage with
// CLUSTER_ID unless that has been done, and runs Kafka with the mounted
// server.properties and the JVM flags of KAFKA_HEAP_OPTS and
// KAFKA_JVM_PERFORMANCE_OPTS.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Where the image has what; properties is the path at which the official image
// takes a mounted file.
const (
	java       = "/opt/java/bin/java"
	jars       = "/opt/kafka/jars/*"
	logging    = "/opt/kafka/log4j2.properties"
	properties = "/mnt/shared/config/server.properties"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "entrypoint: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	flags := strings.Fields(os.Getenv("KAFKA_HEAP_OPTS") + " " + os.Getenv("KAFKA_JVM_PERFORMANCE_OPTS"))
	command := append([]string{java}, flags...)
	command = append(command, "-Dlog4j2.configurationFile="+logging, "-cp", jars)

	formatted, err := isFormatted()
	if err != nil {
		return err
	}
	if !formatted {
		format := slices.Concat(command[1:], []string{
			"kafka.tools.StorageTool", "format", "--cluster-id", os.Getenv("CLUSTER_ID"), "--config", properties,
		})
		//nolint:noctx // nothing could end it: what it makes is needed, and the container ends with it
		if out, err := exec.Command(java, format...).CombinedOutput(); err != nil {
			return fmt.Errorf("formatting storage: %w\n%s", err, out)
		}
	}
	// Kafka takes the place of this process and with it the container's signals.
	if err := syscall.Exec(java, append(command, "kafka.Kafka", properties), os.Environ()); err != nil {
		return fmt.Errorf("running Kafka: %w", err)
	}
	return nil
}

// isFormatted tells whether the log directory has the file that formatting makes.
func isFormatted() (bool, error) {
	file, err := os.Open(properties)
	if err != nil {
		return false, fmt.Errorf("opening properties: %w", err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		dir, ok := strings.CutPrefix(lines.Text(), "log.dirs=")
		if !ok {
			continue
		}
		_, err := os.Stat(filepath.Join(dir, "meta.properties"))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	return false, errors.New("no log.dirs in " + properties)
}
