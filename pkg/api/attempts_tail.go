package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// eventsType is the media type of Server-Sent Events (HTML Living Standard, 9.2).
const eventsType = "text/event-stream"

// Bounds of what follows attempts.
const (
	// tailEvery is the time between two looks: a call of Redis or two each, and a read of Kafka if there is something new.
	tailEvery = time.Second
	// tailAway is it while the views are away.
	tailAway = 5 * time.Second
	// tailBeat is the longest silence: proxies end connections on which nothing is said for a minute or so.
	tailBeat = 15 * time.Second
	// maxTails and maxTenantTails are how many a process serves, of all and of one tenant: at most as many looks a second.
	maxTails, maxTenantTails = 500, 20
	// tailPage is how many attempts a look reads.
	tailPage = 100
)

// tails are the answers that go on.
type tails struct {
	mu       sync.Mutex
	all      int
	byTenant map[ident.ID]int
	ended    bool
	ending   chan struct{}
}

// take takes a place for a tenant; release gives it back.
func (t *tails) take(tenant ident.ID) (release func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all >= maxTails || t.byTenant[tenant] >= maxTenantTails {
		return nil, false
	}
	if t.byTenant == nil {
		t.byTenant = map[ident.ID]int{}
	}
	t.all++
	t.byTenant[tenant]++
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.all--
		if t.byTenant[tenant]--; t.byTenant[tenant] == 0 {
			delete(t.byTenant, tenant)
		}
	}), true
}

func (t *tails) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.ended = true
		close(t.ending)
	}
}

// AttemptTail says which attempts are followed.
type AttemptTail struct {
	EndpointPath
	CodeClassInput
	Status      statusParam `query:"status" doc:"Only those of this status: 0 success, 2 fail, 4 canceled."`
	Channel     string      `query:"channel" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$" doc:"Only of events of this channel."`
	EventTypes  []string    `query:"event_types,explode" maxItems:"250" doc:"Only of these event types; repeated, or separated by commas."`
	Iterator    string      `query:"iterator" maxLength:"64" doc:"Those after it: the iterator or the id of an event of an earlier answer. From now on without."`
	LastEventID string      `header:"Last-Event-ID" maxLength:"64" doc:"The same, which browsers send when they connect again. It wins."`
}

// list is the list of attempts of which this is the part that is yet to come.
func (in *AttemptTail) list() *EndpointAttemptList {
	out := &EndpointAttemptList{EndpointPath: in.EndpointPath, CodeClassInput: in.CodeClassInput, WithMsg: true}
	out.Status, out.Channel, out.EventTypes, out.Expanded, out.Limit = in.Status, in.Channel, in.EventTypes, true, tailPage
	out.WithContent = contentParam{set: true}
	if out.Iterator = in.LastEventID; out.Iterator == "" {
		out.Iterator = in.Iterator
	}
	return out
}

func (a *API) attemptTails() {
	r := viewed("/app/{app_id}/endpoint/{endpoint_id}/tail", "postrider.endpoint.tail", tagAttempt, "Follow the attempts at an endpoint",
		fmt.Sprintf("Server-Sent Events, one named attempt for each as it is in lists, without contents, about a second after it was made; "+
			"the first is named ready and says from where on. After a break Last-Event-ID goes on where it was. The stream ends with the key "+
			"or token. %d at a time of a tenant, and %d of a process: 429 beyond. An attempt that took over the end of an hour may be missing: "+
			"lists have it.", maxTenantTails, maxTails))
	r.views, r.events = false, true
	huma.Register(a.huma, a.declare(r, nil, reflect.TypeFor[MessageAttemptOut]()), func(ctx context.Context, in *AttemptTail) (*huma.StreamResponse, error) {
		t, err := a.tailOf(ctx, in)
		if err != nil {
			return nil, a.tell(ctx, r, err)
		}
		return &huma.StreamResponse{Body: func(answer huma.Context) {
			defer t.release()
			answer.SetHeader("Content-Type", eventsType)
			answer.SetHeader("Cache-Control", "no-store")
			answer.SetHeader("X-Accel-Buffering", "no") // a proxy that gathers answers keeps them back
			answer.SetStatus(http.StatusOK)
			t.r, t.w = humago.Unwrap(answer)
			t.run(ctx)
		}}, nil
	})
}

// tail is one answer that goes on.
type tail struct {
	a       *API
	in      *EndpointAttemptList
	sub     *subscription.Subscription
	q       rowQuery
	release func()

	r    *http.Request
	w    http.ResponseWriter
	said time.Time
}

// tailOf prepares one. Its place has to be released.
func (a *API) tailOf(ctx context.Context, in *AttemptTail) (*tail, error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	t := &tail{a: a, in: in.list(), sub: s}
	if t.q, err = t.in.query(s.ID, attemptPrefix); err != nil {
		return nil, err
	}
	t.q.OldestFirst, t.q.backwards = true, false
	if t.q.Iterator.IsZero() {
		if err := t.fromNow(ctx); err != nil {
			return nil, a.away(ctx, "following attempts", err)
		}
	}
	release, ok := a.tails.take(called(ctx).tenant.ID)
	if !ok {
		return nil, refuse(http.StatusTooManyRequests, "too_many_streams", "as many streams are open as may be: end one, or ask again later")
	}
	t.release = release
	return t, nil
}

// fromNow begins behind the last attempt that there is.
func (t *tail) fromNow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	last, err := t.a.opts.Attempts.Attempts(ctx, view.AttemptQuery{Subscription: t.sub.ID, Limit: 1, AllRows: true})
	if len(last.Attempts) > 0 {
		t.q.Iterator = last.Attempts[0].ID()
	} else {
		t.q.After = t.a.opts.Now()
	}
	return err
}

// run writes what comes until the reader goes, or may not read any more, or the process ends.
func (t *tail) run(ctx context.Context) {
	// The limits of the server are those of a whole request, and this one has no end.
	_ = http.NewResponseController(t.w).SetReadDeadline(time.Time{})
	if t.write(ident.ID{}, "ready", struct{}{}) != nil {
		return
	}
	for t.allowed() {
		wait, err := t.look(ctx)
		if err != nil {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		case <-t.a.tails.ending:
			return
		}
	}
}

// allowed reports whether the endpoint is there and the reader may see it, both as of now.
func (t *tail) allowed() bool {
	p := t.a.principal(t.r)
	now, ok := t.a.opts.Store.Snapshot().Subscription(t.sub.ID)
	return ok && p != nil && t.r.Context().Err() == nil && p.May(access.ViewTenant, now.Tenant)
}

// look writes what is new and returns when to look again. That the views are away for a while is no reason to end; that nobody
// reads is.
func (t *tail) look(ctx context.Context) (wait time.Duration, err error) {
	page, out, err := t.a.attemptsOf(ctx, t.sub, t.in, &t.q)
	if err != nil {
		return tailAway, t.beat()
	}
	t.q.Iterator = page.next
	for i := range out {
		if err := t.write(page.rows[i].at.ID(), "attempt", out[i]); err != nil {
			return 0, err
		}
	}
	if !page.done {
		return 0, nil
	}
	return tailEvery, t.beat()
}

// beat says something if nothing was said for long.
func (t *tail) beat() error {
	if t.a.opts.Now().Sub(t.said) < tailBeat {
		return nil
	}
	return t.send([]byte(":\n\n"))
}

// write writes an event. Its id is where to go on; that of the first one is where the stream begins.
func (t *tail) write(at ident.ID, name string, body any) error {
	if at.IsZero() {
		at = t.q.Iterator
	}
	var b bytes.Buffer
	if !at.IsZero() {
		b.WriteString("id: " + at.Base62(attemptPrefix) + "\n")
	}
	text, err := json.Marshal(body) // of one line
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, text)
	return t.send(b.Bytes())
}

func (t *tail) send(text []byte) error {
	to := http.NewResponseController(t.w)
	_ = to.SetWriteDeadline(time.Now().Add(writeTimeout)) // a writer that knows none has none
	if _, err := t.w.Write(text); err != nil {
		return err
	}
	t.said = t.a.opts.Now()
	return to.Flush()
}
