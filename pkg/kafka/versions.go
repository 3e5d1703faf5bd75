package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Version is what a broker is, as far as the requests that it knows tell.
type Version struct {
	// Guess is a text such as v4.1. For brokers that are not Apache Kafka it says little.
	Guess string
	// Enough: it knows what Apache Kafka 3.8 does, the oldest that Postrider is tested with.
	Enough bool
}

// listGroups38 is the version of ListGroups that came with Kafka 3.8 (KIP-848: filtered by type).
const listGroups38 = 5

// Versions returns what each broker is, by its id.
func Versions(ctx context.Context, c Config) (map[int32]Version, error) {
	client, err := NewClient(c)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	answers, err := kadm.NewClient(client).ApiVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("kafka.brokers: asking for versions: %w", err)
	}
	versions := make(map[int32]Version, len(answers))
	for id, answer := range answers {
		if answer.Err != nil {
			return nil, fmt.Errorf("kafka.brokers: asking broker %d for its version: %w", id, answer.Err)
		}
		groups, _ := answer.KeyMaxVersion(int16(kmsg.ListGroups))
		versions[id] = Version{Guess: answer.VersionGuess(), Enough: groups >= listGroups38}
	}
	return versions, nil
}
