package view

import (
	"context"
	"strings"
	"time"
)

// Server is what a Redis says of itself; of a cluster, one of its nodes.
type Server struct {
	// Version is that of Redis, 7.4.1 for example; empty if the server does not say.
	Version string
	// Evicts is what goes when memory is full (maxmemory-policy), noeviction for nothing; empty if the server does not say.
	Evicts string
	// Ahead is by how much its clock is ahead of this process's, to about the time that a call takes.
	Ahead time.Duration
}

// Server asks Redis for its version, settings and time.
func (r *Redis) Server(ctx context.Context) (Server, error) {
	before := time.Now()
	now, err := r.client.Time(ctx).Result()
	if err := r.done(err); err != nil {
		return Server{}, err
	}
	s := Server{Ahead: now.Sub(before.Add(time.Since(before) / 2))}
	text, err := r.client.Info(ctx).Result()
	if err := r.done(err); err != nil {
		return s, err
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			s.Version = value
		case "maxmemory_policy":
			s.Evicts = value
		}
	}
	return s, nil
}
