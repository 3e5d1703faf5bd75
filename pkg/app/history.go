package app

import (
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/history"
	"github.com/postrider/postrider/pkg/pipeline"
)

// HistoryOptions are what commands read the history of events with: the sources are read as the router reads them.
func HistoryOptions(conf *config.Config) (history.Options, error) {
	names := pipeline.Topics{Prefix: conf.Kafka.Prefix}
	sources, err := newSources(append(conf.AllSources(), (&App{topics: names}).operationalSource()))
	if err != nil {
		return history.Options{}, err
	}
	profiles, err := Profiles(conf)
	if err != nil {
		return history.Options{}, err
	}
	return history.Options{Kafka: conf.Kafka, Router: pipeline.RouterOptions{
		Topics: names, Decoder: sources.decoder, OperationalTenant: conf.Router.OperationalTenant, Profiles: profiles,
	}}, nil
}
