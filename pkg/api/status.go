package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/view"
)

// Cluster knows how the roles of the installation do.
type Cluster interface {
	// Members returns the live roles, by role and instance, and how each of them does, in the same order; nil for one that
	// does not say.
	Members(ctx context.Context) ([]view.Member, []*view.State, error)
	// Lags returns how far the consumer groups are, by role.
	Lags(ctx context.Context) (map[string]kafka.GroupLag, error)
}

// States of an installation.
const (
	stateOK        = "ok"
	statePaused    = "paused"
	stateAttention = "attention"
)

// SystemStatusOut is how an installation does.
type SystemStatusOut struct {
	State    string       `json:"state" enum:"ok,paused,attention" doc:"attention: there are problems; paused: none, but egress is stopped or a role is paused."`
	Problems []ProblemOut `json:"problems" nullable:"false" doc:"What wants somebody's attention."`
	At       time.Time    `json:"at" doc:"When it was looked at: an answer may be some seconds old."`

	RegistryVersion int64           `json:"registryVersion"`
	Roles           []RoleOut       `json:"roles" nullable:"false"`
	OpenBreakers    int             `json:"openBreakers" doc:"Of all deliverers: endpoints that are left alone for a while because they failed."`
	EgressStopped   bool            `json:"egressStopped"`
	Pauses          PausesOut       `json:"pauses"`
	Tasks           TasksStatusOut  `json:"tasks"`
	Rejected        LettersCountOut `json:"rejected" doc:"Source records that could not be read as events."`
	DeadLetters     LettersCountOut `json:"deadLetters"`
}

// ProblemOut is something that wants attention.
type ProblemOut struct {
	Code   string `json:"code" enum:"kafka_unknown,redis_unknown,role_missing,role_halted,deliveries_late" doc:"What it is, for programs."`
	Detail string `json:"detail" doc:"What it is, for people."`
}

// RoleOut is a role and its processes.
type RoleOut struct {
	Role       string        `json:"role"`
	Live       int           `json:"live" doc:"Processes that reported within five seconds."`
	Paused     bool          `json:"paused"`
	Lag        *int64        `json:"lag,omitempty" doc:"Records before its consumer group, in all topics; of the retrier those that wait for their time. Absent if Kafka did not say."`
	Topics     []TopicLagOut `json:"topics" nullable:"false" doc:"The same by topic, 100 at most."`
	Unfinished int           `json:"unfinished" doc:"Records that were read and are not finished."`
	OldestMS   int64         `json:"oldestUnfinishedMs" doc:"The age of the oldest of them."`
	Instances  []InstanceOut `json:"instances" nullable:"false" doc:"200 at most."`
}

// TopicLagOut is the lag in a topic.
type TopicLagOut struct {
	Topic string `json:"topic"`
	Lag   int64  `json:"lag"`
}

// InstanceOut is one process of a role.
type InstanceOut struct {
	Instance        string     `json:"instance"`
	RegistryVersion int64      `json:"registryVersion" doc:"What it has applied."`
	Since           *time.Time `json:"since,omitempty"`
	Build           string     `json:"build,omitempty"`
	Joined          bool       `json:"joined" doc:"It is in its consumer group."`
	Paused          bool       `json:"paused"`
	Partitions      int        `json:"partitions"`
	Halted          int        `json:"halted" doc:"Partitions that stand still until somebody mends them."`
	Unfinished      int        `json:"unfinished"`
	OldestMS        int64      `json:"oldestUnfinishedMs"`
	OpenBreakers    int        `json:"openBreakers"`
}

// PausesOut counts what is paused.
type PausesOut struct {
	Roles         int        `json:"roles"`
	Tenants       int        `json:"tenants"`
	Subscriptions int        `json:"subscriptions"`
	List          []PauseOut `json:"list" nullable:"false" doc:"50 at most; all are in /pause."`
}

// TasksStatusOut counts background tasks.
type TasksStatusOut struct {
	Running int       `json:"running"`
	List    []TaskOut `json:"list" nullable:"false" doc:"Those that run, 20 at most."`
}

// LettersCountOut counts what waits for a person.
type LettersCountOut struct {
	Known  bool            `json:"known" doc:"False while this process still reads them."`
	Open   int             `json:"open"`
	Causes []CauseCountOut `json:"causes" nullable:"false" doc:"The most frequent, 20 at most."`
}

// CauseCountOut counts those of one cause.
type CauseCountOut struct {
	Cause string    `json:"cause"`
	Where string    `json:"where" doc:"The source topic, or the endpoint."`
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
}

// Bounds of a status.
const (
	// statusAge is how old an answer may be: whoever asks every second costs the brokers a question in three.
	statusAge = 3 * time.Second
	// statusTimeout bounds each question, to Kafka and to Redis.
	statusTimeout = 5 * time.Second

	maxStatusTopics, maxStatusInstances        = 100, 200
	maxStatusPauses, maxStatusTasks, maxCauses = 50, 20, 20
	// lateAfter is the age of a delivery in flight from which on the alert PostriderDeliveriesLate speaks, too.
	lateAfter = 2 * time.Minute
)

// lookout keeps what was found last for [statusAge]. Who comes while others look waits for what they find.
type lookout[T any] struct {
	mu    sync.Mutex
	found T
	until time.Time
}

// get returns what is kept, or looks, with a time of its own: others wait for it, too.
func (l *lookout[T]) get(ctx context.Context, now func() time.Time, look func(ctx context.Context, at time.Time) T) T {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now()
	if at.Before(l.until) {
		return l.found
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusTimeout)
	defer cancel()
	l.found = look(ctx, at)
	l.until = now().Add(statusAge)
	return l.found
}

// clusterFound is what Kafka and Redis said.
type clusterFound struct {
	at              time.Time
	asked           bool // there is somebody to ask
	members         []view.Member
	states          []*view.State
	lags            map[string]kafka.GroupLag
	redisErr, kafka error
	rejected, dead  LettersCountOut
}

func (a *API) statuses() {
	register(a, route{
		method: http.MethodGet, path: "/status", id: "postrider.status.get", tag: "Status", needs: access.ViewAll,
		summary: "Say how the installation does",
		doc: "Roles and their processes, lag and oldest unfinished record, open breakers, what is paused, background tasks, and what waits for a " +
			"person. What Kafka or Redis did not say is a problem, not an error.",
	}, func(ctx context.Context, _ *struct{}) (*answer[SystemStatusOut], error) {
		return &answer[SystemStatusOut]{Body: a.statusOut(called(ctx), a.status.get(ctx, a.opts.Now, a.lookAround))}, nil
	})
}

// lookAround asks Kafka and Redis.
func (a *API) lookAround(ctx context.Context, now time.Time) clusterFound {
	found := clusterFound{at: now, asked: a.opts.Cluster != nil}
	var asking sync.WaitGroup
	if found.asked {
		asking.Go(func() { found.members, found.states, found.redisErr = a.opts.Cluster.Members(ctx) })
		asking.Go(func() { found.lags, found.kafka = a.opts.Cluster.Lags(ctx) })
	}
	asking.Wait()
	found.rejected, found.dead = a.rejectedCount(ctx), a.deadCount(ctx)
	if found.redisErr != nil || found.kafka != nil {
		a.opts.Log.WarnContext(ctx, "asking for the status", "redis", found.redisErr, "kafka", found.kafka)
	}
	return found
}
