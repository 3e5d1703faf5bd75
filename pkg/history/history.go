// Package history says what became of events, from what Kafka holds and from nothing else:
//
//	reconcile.go   a range of a source topic, proven event by event and subscription by subscription
//	routed.go          which offsets the routers account for
//	expand.go          source records → the deliveries that there should be
//	account.go         those deliveries, and what is known of each
//	mark.go            deliveries, retry tiers, outcomes, dead letters and rejected records → the account
//	extra.go           deliveries that there should not be
//	report.go          what it comes to
//	span.go            what a range is
//	explain.go     the life of one event
//	find.go            where it is
//	why.go             whom it did not match, and why
//	moments.go         what happened to its deliveries
//	life.go            what it comes to
//	logs.go        reading topics
//
// It reads and never writes, and needs no group. DESIGN.md says why what it concludes is true of a system at work.
package history

import (
	"errors"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

// Options say where the history is and how it was made.
type Options struct {
	Kafka kafka.Config
	// Router are the routers' options: topics, decoders of the sources, operational tenant.
	Router pipeline.RouterOptions
	// AtOnce is how many deliveries are held in memory at a time, at about 100 bytes each; 1,000,000 by default. A range with more is read in
	// several passes.
	AtOnce int
	// Progress is told how far a reading is, in records of the stretches to be read; nil for nobody. It is called from many
	// goroutines.
	Progress func(what string, done, total int64)
}

func (o *Options) topic(name string) string { return o.Router.Topics.Name(name) }

// Names of the consumer groups whose commits say what is finished; the prefix comes before them.
const (
	groupRouter    = "router"
	groupDeliverer = "deliverer"
	groupRetrier   = "retrier"
)

// errEnough ends a reading that has all it wants.
var errEnough = errors.New("enough was read")

func enough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// ownTopics are those of Postrider's own that a history is read from.
func (o *Options) ownTopics() []string {
	names := []string{topics.Routed, topics.Registry, topics.Deliveries, topics.Outcomes, topics.DeadLetters, topics.Rejected}
	for i, name := range names {
		names[i] = o.topic(name)
	}
	return append(names, o.Router.Topics.RetryTopics()...)
}
