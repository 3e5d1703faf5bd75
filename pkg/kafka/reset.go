package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// ForgetGroup deletes what a consumer group has committed, so that it reads its topics from their start. The group must
// have no members; one that does not exist is no error.
func ForgetGroup(ctx context.Context, conf Config, group string) error {
	client, err := NewClient(conf)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	_, err = kadm.NewClient(client).DeleteGroup(ctx, group)
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return nil
	case errors.Is(err, kerr.NonEmptyGroup):
		return fmt.Errorf("resetting group %s: it has members: stop them first, and wait until their session ended", group)
	case err != nil:
		return fmt.Errorf("resetting group %s: %w", group, err)
	}
	return nil
}
