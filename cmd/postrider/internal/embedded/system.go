package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider/pkg/kafka"
)

// Ports are where a system listens, on the loopback address. A port that is taken, or 0, gives any free one.
type Ports struct{ Kafka, Redis int }

// System is an embedded Kafka and Redis.
type System struct {
	cluster *kfake.Cluster
	redis   *miniredis.Miniredis
	// ended is closed to stop Redis' clock; ticked is closed when it stands.
	ended, ticked chan struct{}
}

// Start starts them. The broker goes on with what the directory has: topics, records, consumer groups.
func Start(ctx context.Context, dir *Dir, ports Ports) (*System, error) {
	listen := func(network, address string) (net.Listener, error) { return listenNear(ctx, network, address) }
	cluster, err := kfake.NewCluster(
		kfake.Ports(ports.Kafka), kfake.ListenFn(listen), kfake.DataDir(filepath.Join(dir.Path, kafkaDir)),
		kfake.WithLogger(kfake.BasicLogger(dir.Log, kfake.LogLevelWarn)),
		// It applies its default of a week to compacted topics, too, and a registry would lose what nobody has changed since.
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}),
	)
	if err != nil {
		return nil, fmt.Errorf("starting embedded Kafka: %w", err)
	}
	s := &System{cluster: cluster, redis: miniredis.NewMiniRedis(), ended: make(chan struct{}), ticked: make(chan struct{})}
	if s.redis.StartAddr(loopback(ports.Redis)) != nil {
		if err := s.redis.Start(); err != nil {
			cluster.Close()
			return nil, fmt.Errorf("starting embedded Redis: %w", err)
		}
	}
	go s.tick()
	return s, nil
}

// tickEvery is how often time goes on in the embedded Redis, whose keys do not expire by themselves.
const tickEvery = time.Second

func (s *System) tick() {
	defer close(s.ticked)
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.redis.FastForward(tickEvery)
		case <-s.ended:
			return
		}
	}
}

// Brokers returns the addresses of Kafka.
func (s *System) Brokers() []string { return s.cluster.ListenAddrs() }

// Redis returns the address of Redis.
func (s *System) Redis() string { return s.redis.Addr() }

// EnsureTopic creates a topic unless it exists.
func (s *System) EnsureTopic(ctx context.Context, conf kafka.Config, topic string, partitions int32) error {
	client, err := kafka.NewClient(conf)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("creating topic %s: %w", topic, err)
	}
	return nil
}

// Close stops both. The broker writes to the directory what is not there yet, so it is called once every client is gone.
func (s *System) Close() {
	close(s.ended)
	<-s.ticked
	s.redis.Close()
	s.cluster.Close()
}

// Listen listens on the port, or on any free one if that is taken.
func Listen(ctx context.Context, port int) (net.Listener, error) {
	return listenNear(ctx, "tcp", loopback(port))
}

// ListenAt listens on the address, or on any free port of the loopback interface if that is taken.
func ListenAt(ctx context.Context, address string) (net.Listener, error) {
	return listenNear(ctx, "tcp", address)
}

func listenNear(ctx context.Context, network, address string) (net.Listener, error) {
	var conf net.ListenConfig
	l, err := conf.Listen(ctx, network, address)
	if err != nil {
		return conf.Listen(ctx, network, loopback(0))
	}
	return l, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
