package kafkatest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKafkaVersionIsThatOfThePOM(t *testing.T) {
	t.Parallel()
	require.Contains(t, string(pom), "<artifactId>kafka_2.13</artifactId>")
	require.Contains(t, string(pom), "<version>"+Version+"</version>")
}
