package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/pkg/view"
)

// statusOut puts a status together: of what Kafka and Redis said, and of what this process knows.
func (a *API) statusOut(c *call, found clusterFound) SystemStatusOut {
	out := SystemStatusOut{
		State: stateOK, Problems: []ProblemOut{}, At: found.at, RegistryVersion: c.snap.Version(), EgressStopped: c.snap.EgressStopped() != nil,
		Pauses: pausesOut(c), Tasks: a.tasksStatus(), Rejected: found.rejected, DeadLetters: found.dead,
	}
	for _, role := range pause.Roles() {
		r := roleOut(role, found)
		r.Paused = c.snap.RolePaused(role) != nil
		out.Roles = append(out.Roles, r)
		for _, i := range r.Instances {
			out.OpenBreakers += i.OpenBreakers
		}
	}
	if out.EgressStopped || out.Pauses.Roles > 0 {
		out.State = statePaused
	}
	if out.Problems = problems(found, &out); len(out.Problems) > 0 {
		out.State = stateAttention
	}
	return out
}

// problems are what wants attention. What is paused on purpose is none, and what comes of that neither.
func problems(found clusterFound, s *SystemStatusOut) []ProblemOut {
	out := []ProblemOut{}
	tell := func(code, format string, args ...any) {
		out = append(out, ProblemOut{Code: code, Detail: fmt.Sprintf(format, args...)})
	}
	if found.kafka != nil || found.lags == nil {
		tell("kafka_unknown", "Kafka did not say how far the consumer groups are: see the log of the API")
	}
	known := found.redisErr == nil && found.asked
	if !known {
		tell("redis_unknown", "Redis did not say which roles are live: see the log of the API")
	}
	for _, r := range s.Roles {
		if known && r.Live == 0 {
			tell("role_missing", "no %s is live", r.Role)
		}
		for _, i := range r.Instances {
			if i.Halted > 0 {
				tell("role_halted", "%s %s: %d partitions are halted: see kafka.on_out_of_range", r.Role, i.Instance, i.Halted)
			}
		}
		late := time.Duration(r.OldestMS) * time.Millisecond
		if r.Role == "deliverer" && late > lateAfter && !s.EgressStopped && !r.Paused {
			tell("deliveries_late", "the oldest delivery in flight is %s old", late.Round(time.Second))
		}
	}
	return out
}

func roleOut(role string, found clusterFound) RoleOut {
	r := RoleOut{Role: role, Topics: []TopicLagOut{}, Instances: []InstanceOut{}}
	if g, ok := found.lags[role]; ok {
		n := g.Records()
		r.Lag, r.Topics = &n, topicLags(g)
	}
	for i, m := range found.members {
		if m.Role != role {
			continue
		}
		r.Live++
		one := InstanceOut{Instance: m.Instance, RegistryVersion: m.Version}
		if i < len(found.states) && found.states[i] != nil {
			one.fill(found.states[i])
		}
		r.Unfinished += one.Unfinished
		r.OldestMS = max(r.OldestMS, one.OldestMS)
		if len(r.Instances) < maxStatusInstances {
			r.Instances = append(r.Instances, one)
		}
	}
	return r
}

func (i *InstanceOut) fill(s *view.State) {
	i.Since, i.Build, i.Joined, i.Paused = &s.Since, s.Build, s.Joined, s.Paused
	i.Partitions, i.Halted, i.Unfinished, i.OldestMS, i.OpenBreakers = s.Partitions, s.Halted, s.Unfinished, s.OldestMS, s.Breakers
}

func topicLags(g kafka.GroupLag) []TopicLagOut {
	out := []TopicLagOut{}
	for _, t := range g.Topics[:min(len(g.Topics), maxStatusTopics)] {
		out = append(out, TopicLagOut{t.Topic, t.Records})
	}
	return out
}

func pausesOut(c *call) PausesOut {
	out := PausesOut{List: []PauseOut{}}
	for p := range c.snap.Pauses() {
		switch p.Scope {
		case pause.Role:
			out.Roles++
		case pause.Tenant:
			out.Tenants++
		case pause.Subscription:
			out.Subscriptions++
		case pause.Egress:
		}
		if len(out.List) < maxStatusPauses {
			out.List = append(out.List, pauseOut(c, p))
		}
	}
	return out
}

func (a *API) tasksStatus() TasksStatusOut {
	out := TasksStatusOut{List: []TaskOut{}}
	if a.opts.Tasks == nil {
		return out
	}
	for _, t := range slices.Backward(a.opts.Tasks.List(func(t *task.Task) bool { return t.Status == task.Running })) {
		out.Running++
		if len(out.List) < maxStatusTasks {
			out.List = append(out.List, taskOut(t))
		}
	}
	return out
}

// rejectedCount counts rejected records; what is being read still is not known.
func (a *API) rejectedCount(ctx context.Context) LettersCountOut {
	out := LettersCountOut{Causes: []CauseCountOut{}}
	if a.opts.Rejected == nil {
		return out
	}
	found, err := a.rejectedCauses(ctx, &RejectedQuery{PageInput: PageInput{Limit: maxCauses}})
	if err != nil {
		return out
	}
	out.Known, out.Open = true, found.Body.Count
	for _, c := range found.Body.Data {
		out.Causes = append(out.Causes, CauseCountOut{c.Reason, c.Topic, c.Count, c.Last})
	}
	return out
}

// deadCount counts dead letters likewise.
func (a *API) deadCount(ctx context.Context) LettersCountOut {
	out := LettersCountOut{Causes: []CauseCountOut{}}
	if a.opts.DeadLetters == nil {
		return out
	}
	found, err := a.deadLetterCauses(ctx, &DeadLetterQuery{PageInput: PageInput{Limit: maxCauses}})
	if err != nil {
		return out
	}
	out.Known, out.Open = true, found.Body.Count
	for _, c := range found.Body.Data {
		out.Causes = append(out.Causes, CauseCountOut{c.Reason, value(c.EndpointID), c.Count, c.Last})
	}
	return out
}
