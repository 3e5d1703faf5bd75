package app

import (
	"context"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/topics"
)

const tasksRole = "tasks"

// AddTasks adds what carries out background tasks, and returns their log. Without letters it leaves those about letters to others.
// The processes of an installation share the tasks:
//
//	tasks ──▶ group "tasks": who carries out which ──▶ outcomes, source topics: what it is about
//	  ▲                    ├◀── deliveries, source topics: its data
//	  └─── progress ───────┴──▶ deliveries; marks of letters
func (a *App) AddTasks(ctx context.Context, letters *Letters) (*pipeline.TaskLog, error) {
	view, err := a.View(ctx)
	if err != nil {
		return nil, err
	}
	sources, err := newSources(a.conf.AllSources())
	if err != nil {
		return nil, err
	}
	name := a.topics.Name(topics.Tasks)
	partitions, err := kafka.Partitions(ctx, a.conf.Kafka, name)
	if err != nil {
		return nil, err
	}
	out, err := kafka.NewProducer(a.conf.Kafka.For("tasks-producer", a.opts.Metrics), kafka.ProducerOptions{Pinned: []string{name}})
	if err != nil {
		return nil, err
	}
	tail, err := kafka.OpenTail(a.conf.Kafka.For("tasks-tail", a.opts.Metrics), name)
	if err != nil {
		return nil, err
	}
	fetcher, err := kafka.NewFetcher(a.conf.Kafka.For("tasks-fetcher", a.opts.Metrics))
	if err != nil {
		return nil, err
	}
	log := pipeline.NewTaskLog(a.topics, partitions, tail, out, a.opts.Log)
	reader := kafka.NewReader(a.conf.Kafka)
	runner := pipeline.NewTaskRunner(pipeline.TaskRunnerOptions{Topics: a.topics, Log: a.opts.Log, Metrics: a.metrics},
		view, log, a.taskWorks(sources, view, reader, fetcher, letters), reader, out)
	group, err := kafka.NewGroup(a.conf.Kafka.For(tasksRole, a.opts.Metrics), a.groupOptions(tasksRole, name), runner)
	if err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx)) // the group needs the log until it has left
	followed := make(chan struct{})
	_, failed := failures()
	if letters != nil {
		letters.users.Add(1)
	}
	a.role(tasksRole, group, out, failed, func() {
		go func() {
			defer close(followed)
			log.Run(following)
		}()
	}, func() {
		stop()
		<-followed
		tail.Close()
		fetcher.Close()
		if letters != nil {
			letters.users.Done()
		}
	})
	return log, nil
}

// taskWorks are the kinds of tasks.
func (a *App) taskWorks(
	s *sources, reg pipeline.Registry, reader *kafka.Reader, fetcher *kafka.Fetcher, letters *Letters,
) map[task.Kind]pipeline.TaskWork {
	rows := pipeline.NewKafkaRows(a.topics, reader)
	outcomes := &pipeline.OutcomeWork{Decoder: s.decoder, Rows: rows, Records: fetcher}
	works := map[task.Kind]pipeline.TaskWork{
		task.Recover:    outcomes,
		task.BulkReplay: outcomes,
		task.ReplayMissing: &pipeline.MissingWork{
			Topics: a.topics, Registry: reg, Reader: reader, Rows: rows, Records: fetcher, Decoder: s.decoder,
			Router: a.conf.Kafka.Prefix + routerRole, Deliverer: a.conf.Kafka.Prefix + delivererRole,
		},
	}
	if letters != nil {
		dead := pipeline.LetterTasks{Letters: letters.Dead}
		works[task.RedriveLetters], works[task.DiscardLetters] = dead, dead
	}
	return works
}
