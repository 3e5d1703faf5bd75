package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/registry"
)

func stopDirectly(cmd *cobra.Command, reason string) error {
	p, by := pause.OfEgress(), commandActor("egress stop")
	p.Reason, p.By = reason, by.Name
	if err := p.Validate(); err != nil {
		return fmt.Errorf("--%w", err)
	}
	return applyDirectly(cmd, "egress stop", registry.PutPause(&p).Anyway(), "egress is stopped")
}

func startDirectly(cmd *cobra.Command) error {
	return applyDirectly(cmd, "egress start", registry.Delete(registry.PauseKey(pause.EgressID()), registry.Any), "egress is started")
}

// directPatience bounds a change of the registry without the API.
const directPatience = time.Minute

// applyDirectly makes one change of the registry without the API. Secrets stay as they are, so no keyset is needed.
func applyDirectly(cmd *cobra.Command, command string, change registry.Change, done string) error {
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), directPatience)
	defer cancel()
	return app.WithStore(ctx, conf, app.StoreUse{AsStored: true}, func(ctx context.Context, store *registry.Store) error {
		result, err := store.Apply(ctx, commandActor(command), change)
		if err != nil && result.Version == 0 {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, as of version %d of the registry: roles have it within a second of that\n", done, result.Version)
		return err
	})
}
