package kafkatest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/postrider/postrider/test/internal/node"
)

// Version is the Apache Kafka that the tests run: the newest whose parts are all
// on Maven Central. It also stands in pom.xml and in the default image.
const Version = "4.3.1"

// Debian's names of what the process way needs.
const (
	javaPackage  = "openjdk-17-jre-headless"
	mavenPackage = "maven"
)

//go:embed pom.xml
var pom []byte

//go:embed log4j2.properties
var log4j []byte

// Jars returns the directory with the jars of Kafka and what they need, fetching
// them with Maven if no process of this user has done so before.
func Jars(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding cache directory: %w", err)
	}
	dir := filepath.Join(cache, "postrider", "kafka-"+Version)
	jars := filepath.Join(dir, "jars")
	err = node.Locked(dir+".lock", func() error {
		if _, err := os.Stat(jars); err == nil {
			return nil
		}
		return fetch(ctx, dir, jars)
	})
	if err != nil {
		return "", fmt.Errorf("fetching Kafka %s: %w", Version, err)
	}
	return jars, nil
}

// fetch fills a directory beside jars and renames it at the end, so that jars
// is complete whenever it exists.
func fetch(ctx context.Context, dir, jars string) error {
	mvn, err := node.Program(ctx, "mvn", mavenPackage)
	if err != nil {
		return err
	}
	partial := filepath.Join(dir, "partial")
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("removing an unfinished fetch: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making cache directory: %w", err)
	}
	pomFile := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(pomFile, pom, 0o644); err != nil {
		return fmt.Errorf("writing pom.xml: %w", err)
	}
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--no-transfer-progress", "--quiet", "--file", pomFile,
		"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+partial)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running mvn: %w\n%s", err, out)
	}
	if err := os.Rename(partial, jars); err != nil {
		return fmt.Errorf("finishing the fetch: %w", err)
	}
	return nil
}
