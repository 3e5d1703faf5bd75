package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
)

// sendOptions are the flags of send.
type sendOptions struct {
	source, topic string
	repeat        int
	rate          float64
	unchecked     bool
}

// newSendCmd returns the command that puts events on a source topic.
func newSendCmd() *cobra.Command {
	var opts sendOptions
	cmd := &cobra.Command{
		Use:   "send [FILE]",
		Short: "Put events on a source topic",
		Long: `Reads events from FILE, or from standard input, and puts them on a source topic: one JSON value a line, or a JSON array. They
are CloudEvents in structured mode, or, for a source of format json, what its mapping reads; their bytes are sent as they
are. The key is the tenant.

Every event is read as the router will read it; one that would be rejected is refused with its line. A file is checked as a
whole before anything is sent. With --repeat every round gets event ids of its own.`,
		Example: `  postrider send --source dixa configs/demo/conversation-events.ndjson
  jq -c . order.json | postrider send --topic orders.events`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			s, err := newSender(cmd, cfg, opts)
			if err != nil {
				return err
			}
			defer s.client.Close()
			if len(args) == 0 || args[0] == "-" {
				return s.stream(cmd.Context(), cmd.InOrStdin())
			}
			return s.file(cmd.Context(), args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.source, "source", config.EventsTopic, "the configured source whose topic and form the events have")
	flags.StringVar(&opts.topic, "topic", "", "the topic, as Kafka knows it (default the first one of the source)")
	flags.IntVar(&opts.repeat, "repeat", 1, "how often to send a file")
	flags.Float64Var(&opts.rate, "rate", 0, "events per second (default as fast as possible)")
	flags.BoolVar(&opts.unchecked, "unchecked", false, "send also what the router would reject")
	return cmd
}

// sender puts events of one source on one topic.
type sender struct {
	opts     sendOptions
	source   config.Source
	decoder  *event.Decoder
	conf     kafka.Config
	client   *kgo.Client
	progress *progress
	sent     int // handed to the client
	start    time.Time
	failed   atomic.Pointer[error] // the first record that Kafka did not take
}

func newSender(cmd *cobra.Command, cfg *config.Config, opts sendOptions) (*sender, error) {
	sources := cfg.AllSources()
	i := slices.IndexFunc(sources, func(s config.Source) bool { return s.Name == opts.source })
	if i < 0 {
		names := make([]string, 0, len(sources))
		for _, s := range sources {
			names = append(names, s.Name)
		}
		return nil, fmt.Errorf("--source: %q: want one of the configured sources %q", opts.source, names)
	}
	source := sources[i]
	if opts.topic == "" && len(source.Topics) == 0 {
		return nil, fmt.Errorf("--topic: missing: source %q has a pattern, so name the topic", source.Name)
	}
	if opts.topic == "" {
		opts.topic = source.Topics[0]
	}
	if opts.repeat < 1 || opts.rate < 0 {
		return nil, errors.New("--repeat and --rate: want a positive number")
	}
	decoder, err := event.NewDecoder(source.Source)
	if err != nil {
		return nil, err
	}
	client, err := kafka.NewClient(cfg.Kafka, kgo.DefaultProduceTopic(opts.topic))
	if err != nil {
		return nil, err
	}
	return &sender{
		opts: opts, source: source, decoder: decoder, conf: cfg.Kafka, client: client,
		progress: newProgress(cmd.ErrOrStderr(), "sending", "events", "sent"), start: time.Now(),
	}, nil
}

// file checks a whole file and sends it, as often as it is asked to.
func (s *sender) file(ctx context.Context, path string) error {
	total := 0
	count := func(*kgo.Record, int) error { total++; return nil }
	if err := s.readFile(path, 1, count); err != nil {
		return err
	}
	if err := s.reach(ctx); err != nil {
		return err
	}
	s.progress.begin(total * s.opts.repeat)
	for round := range s.opts.repeat {
		if err := s.readFile(path, round+1, func(r *kgo.Record, _ int) error { return s.send(ctx, r) }); err != nil {
			return s.finish(ctx, err)
		}
	}
	return s.finish(ctx, nil)
}

// stream sends what comes from a stream, up to the first event that is refused.
func (s *sender) stream(ctx context.Context, r io.Reader) error {
	if s.opts.repeat > 1 {
		return errors.New("--repeat: want a file: standard input can be read only once")
	}
	if err := s.reach(ctx); err != nil {
		return err
	}
	s.progress.begin(-1)
	return s.finish(ctx, s.read(r, 1, func(r *kgo.Record, _ int) error { return s.send(ctx, r) }))
}

// reach says in one line that there is no Kafka, or no topic.
func (s *sender) reach(ctx context.Context) error { return kafka.Reach(ctx, s.conf, s.opts.topic) }

func (s *sender) readFile(path string, round int, each func(*kgo.Record, int) error) error {
	f, err := os.Open(path) //nolint:gosec // who runs the command names the file
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	if err := s.read(f, round, each); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// read calls each for the record of every event, and its line.
func (s *sender) read(r io.Reader, round int, each func(*kgo.Record, int) error) error {
	in := newEventInput(r)
	for {
		value, line, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		record, err := s.record(value, round)
		if err == nil {
			err = each(record, line)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// record returns the record of an event, or why the router would reject it.
func (s *sender) record(value []byte, round int) (*kgo.Record, error) {
	r := &kgo.Record{Value: value}
	cloudEvents := s.source.Format != event.FormatJSON
	if cloudEvents {
		r.Headers = []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}
	}
	e, err := s.decoder.Decode(event.Record{
		Value: value, Timestamp: s.start,
		Headers: func(yield func(string, []byte) bool) {
			for _, h := range r.Headers {
				if !yield(h.Key, h.Value) {
					return
				}
			}
		},
	})
	switch {
	case err == nil:
		r.Key = []byte(e.Tenant)
	case s.opts.unchecked:
		return r, nil
	default:
		return nil, err
	}
	idPath := s.source.Mapping.ID
	if cloudEvents {
		idPath = "id"
	}
	if round > 1 && idPath != "" {
		r.Value = withID(value, idPath, roundID(e.ID, round))
	}
	return r, nil
}

// roundID is the id of an event in a later round: another UUID for a UUID, so that it stays one.
func roundID(id string, round int) string {
	if _, err := ident.ParseUUID(id); err == nil {
		return ident.Derive("postrider/send", id, strconv.Itoa(round)).UUID()
	}
	return id + "-" + strconv.Itoa(round)
}

// withID returns value with another id and every other byte as it is.
func withID(value []byte, path, id string) []byte {
	old := gjson.GetBytes(value, path)
	return slices.Concat(value[:old.Index], strconv.AppendQuote(nil, id), value[old.Index+len(old.Raw):])
}

// send hands a record to the client, when its time has come.
func (s *sender) send(ctx context.Context, r *kgo.Record) error {
	if failed := s.failed.Load(); failed != nil {
		return *failed
	}
	if s.opts.rate > 0 {
		due := s.start.Add(time.Duration(float64(s.sent) / s.opts.rate * float64(time.Second)))
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.sent++
	s.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		if err != nil {
			err = fmt.Errorf("producing to %s: %w", s.opts.topic, err)
			s.failed.CompareAndSwap(nil, &err)
			return
		}
		s.progress.add(1)
	})
	return ctx.Err()
}

// finish waits for what was sent and tells how it went.
func (s *sender) finish(ctx context.Context, err error) error {
	if flushErr := s.client.Flush(ctx); err == nil {
		err = flushErr
	}
	if failed := s.failed.Load(); failed != nil {
		err = *failed // whatever line was read when it came to light
	}
	s.progress.end(" to "+s.opts.topic, time.Since(s.start))
	return err
}
