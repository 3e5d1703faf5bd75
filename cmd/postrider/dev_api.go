package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
)

// configureAPI gives the API a free address on the loopback interface.
func (d *dev) configureAPI(ctx context.Context) error {
	c := &d.conf.API
	if strings.HasPrefix(c.Listen, ":") {
		c.Listen = "127.0.0.1" + c.Listen
	}
	var err error
	c.Listen, err = freeAddress(ctx, "api.listen", c.Listen)
	return err
}

// tokenFile is where a dev process keeps the operator's token, for the next start.
const tokenFile = "operator-token"

// prepareAPI makes an operator's key, unless that of an earlier start is still good, and the event types of the demo.
func (d *dev) prepareAPI(ctx context.Context) error {
	file := filepath.Join(d.dir.Path, tokenFile)
	return app.WithStore(ctx, d.conf, app.StoreUse{}, func(ctx context.Context, store *registry.Store) error {
		changes := d.demoEventTypes(store.Snapshot())
		raw, err := os.ReadFile(file) //nolint:gosec // in the data directory
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading the operator's token: %w", err)
		}
		d.token = strings.TrimSpace(string(raw))
		if _, ok := store.Snapshot().KeyByHash(access.HashToken(d.token)); !ok {
			key, token := access.NewKey("dev", access.RoleOperator, ident.ID{}, time.Now().UTC(), time.Time{})
			if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
				return fmt.Errorf("writing the operator's token: %w", err)
			}
			d.token = token
			changes = append(changes, registry.PutKey(key))
		}
		_, err = store.Apply(ctx, commandActor("dev"), changes...)
		return err
	})
}

// demoEventTypes are those of the demo's events that the registry does not have.
func (d *dev) demoEventTypes(s *registry.Snapshot) []registry.Change {
	var changes []registry.Change
	for _, system := range d.systems {
		for _, et := range system.EventTypes {
			if _, ok := s.EventType(et.Name); !ok {
				changes = append(changes, registry.PutEventType(&et))
			}
		}
	}
	return changes
}
