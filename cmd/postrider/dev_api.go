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
	"github.com/postrider/postrider/pkg/config"
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
	if c.Listen, err = freeAddress(ctx, "api.listen", c.Listen); err == nil && c.PortalURL == config.Default().API.PortalURL {
		c.PortalURL = "http://" + c.Listen + "/portal"
	}
	return err
}

// Files where a dev process keeps the tokens of an operator and of the demo's tenant, for the next start.
const (
	tokenFile       = "operator-token"
	tenantTokenFile = "tenant-token"
)

// prepareAPI makes an operator's key, unless that of an earlier start is still good, and the event types of the demo.
func (d *dev) prepareAPI(ctx context.Context) error {
	return app.WithStore(ctx, d.conf, app.StoreUse{}, func(ctx context.Context, store *registry.Store) error {
		changes := d.demoEventTypes(store.Snapshot())
		token, key, err := d.keptKey(store.Snapshot(), tokenFile, access.RoleOperator, ident.ID{})
		if err != nil {
			return err
		}
		d.token = token
		_, err = store.Apply(ctx, commandActor("dev"), append(changes, key...)...)
		return err
	})
}

// keptKey returns the token in a file of the data directory, and if there is none that is still good, a new one and the change
// that makes it so.
func (d *dev) keptKey(s *registry.Snapshot, name string, role access.Role, tenant ident.ID) (string, []registry.Change, error) {
	file := filepath.Join(d.dir.Path, name)
	raw, err := os.ReadFile(file) //nolint:gosec // in the data directory
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("reading a token: %w", err)
	}
	if old, ok := s.KeyByHash(access.HashToken(strings.TrimSpace(string(raw)))); ok && old.Tenant == tenant {
		return strings.TrimSpace(string(raw)), nil, nil
	}
	key, token := access.NewKey("dev", role, tenant, time.Now().UTC(), time.Time{})
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		return "", nil, fmt.Errorf("writing a token: %w", err)
	}
	return token, []registry.Change{registry.PutKey(key)}, nil
}

// preparePortal makes a key of the demo's tenant, for the link that opens the portal. A portal token would be too long for a line.
func (d *dev) preparePortal(ctx context.Context, store *registry.Store, tenant ident.ID) error {
	token, key, err := d.keptKey(store.Snapshot(), tenantTokenFile, access.RoleTenant, tenant)
	if err != nil {
		return err
	}
	d.tenantToken = token
	if len(key) > 0 {
		_, err = store.Apply(ctx, commandActor("dev"), key...)
	}
	return err
}

// portalLink opens the portal, signed in as the demo's tenant if there is one.
func (d *dev) portalLink() string {
	link := strings.TrimSuffix(d.conf.API.PortalURL, "/") + "/"
	if d.tenantToken == "" {
		return link + "   sign in with the key"
	}
	return link + "#token=" + d.tenantToken
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
