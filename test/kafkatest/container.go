package kafkatest

import (
	"os"
	"strings"

	"github.com/postrider/postrider/test/internal/node"
)

// ImageVar is the environment variable that names another image than the
// official one.
const ImageVar = "POSTRIDER_TEST_KAFKA_IMAGE"

// Image returns the image that the docker way runs.
func Image() string {
	if image := os.Getenv(ImageVar); image != "" {
		return image
	}
	return "apache/kafka:" + Version
}

// container prepares broker i as a container. What it relies on is the contract
// of the official image, which the one of test/images keeps as well: a mounted
// server.properties, CLUSTER_ID for formatting the storage the first time, the
// JVM's flags in two variables, and /var/lib/kafka/data for the data.
func (c *Cluster) container(i int) node.Node {
	flags := c.options.jvm()
	return &node.Container{
		Image: c.image,
		Env: map[string]string{
			"CLUSTER_ID":                 c.id,
			"KAFKA_HEAP_OPTS":            strings.Join(flags.heap, " "),
			"KAFKA_JVM_PERFORMANCE_OPTS": strings.Join(flags.performance, " "),
		},
		Files: map[string]string{"/mnt/shared/config/server.properties": c.properties(i, "/var/lib/kafka/data")},
	}
}
