package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	pollEvery = 50 * time.Millisecond // small beside a start of seconds
	tryLimit  = 5 * time.Second       // for one look; a look that hangs is made anew
)

// readyGroup is the group whose coordinator the readiness check asks for.
const readyGroup = "kafkatest-ready"

// awaitReady returns once the cluster serves: all running brokers know each other
// and a controller, the group coordinator has loaded, and a client of the test's
// own kind is let in.
func (c *Cluster) awaitReady(ctx context.Context) error {
	internal := make([]string, len(c.addresses))
	for i, a := range c.addresses {
		internal[i] = local(a.internal)
	}
	admin, err := kgo.NewClient(kgo.SeedBrokers(internal...))
	if err != nil {
		return fmt.Errorf("making admin client: %w", err)
	}
	defer admin.Close()
	adm := kadm.NewClient(admin)
	if err := c.poll(ctx, "brokers", func(ctx context.Context) error { return c.allKnown(ctx, admin) }); err != nil {
		return err
	}
	if err := c.poll(ctx, "group coordinator", func(ctx context.Context) error {
		_, err := adm.FetchOffsets(ctx, readyGroup)
		return err
	}); err != nil {
		return err
	}
	if err := c.addUser(ctx, adm); err != nil {
		return err
	}
	return c.poll(ctx, "login", c.login)
}

// poll calls check until it returns nil, and gives up when ctx ends or a broker
// that should run has ended.
func (c *Cluster) poll(ctx context.Context, what string, check func(context.Context) error) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, tryLimit)
		err := check(try)
		cancel()
		if err == nil {
			return nil
		}
		for i, n := range c.nodes {
			if c.up[i] && !n.Running(ctx) {
				return fmt.Errorf("waiting for %s: broker %d has ended; its log:\n%s", what, i, n.Log())
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last: %w)%s", what, context.Cause(ctx), err, c.logs())
		}
	}
}

// allKnown checks that every broker that runs is in the metadata. One that was
// killed may still be listed until its session ends.
func (c *Cluster) allKnown(ctx context.Context, client *kgo.Client) error {
	// Not kadm's BrokerMetadata: it answers from the client's cache, and whoever
	// asks too early is told of the missing broker for minutes.
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	meta, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for i := range c.nodes {
		known := slices.ContainsFunc(meta.Brokers, func(b kmsg.MetadataResponseBroker) bool {
			return b.NodeID == int32(nodeID(i))
		})
		if c.up[i] && !known {
			return fmt.Errorf("broker %d is not registered", i)
		}
	}
	if meta.ControllerID < 0 {
		return errors.New("no controller")
	}
	return nil
}

// addUser makes the SCRAM user; the brokers keep it in the cluster's metadata.
func (c *Cluster) addUser(ctx context.Context, adm *kadm.Client) error {
	s := c.options.SASL
	if s == nil || s.Mechanism != ScramSHA256 {
		return nil
	}
	const iterations = 4096 // the least that Kafka takes
	return c.poll(ctx, "SCRAM user", func(ctx context.Context) error {
		results, err := adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{
			User: s.User, Mechanism: kadm.ScramSha256, Iterations: iterations, Password: s.Password,
		}})
		if err != nil {
			return err
		}
		return results.Error()
	})
}

// login asks every running broker as the tests will.
func (c *Cluster) login(ctx context.Context) error {
	for i, a := range c.addresses {
		if !c.up[i] {
			continue
		}
		client, err := kgo.NewClient(c.clientOpts(local(a.client))...)
		if err != nil {
			return fmt.Errorf("making client: %w", err)
		}
		err = client.Ping(ctx)
		client.Close()
		if err != nil {
			return fmt.Errorf("asking broker %d: %w", i, err)
		}
	}
	return nil
}
