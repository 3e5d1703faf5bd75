package portal_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
)

// letters are dead letters in a topic in memory.
type letters struct {
	mu      sync.Mutex
	records []*kafka.Record
	sent    []*kafka.Record // written to other topics
	dead    *pipeline.DeadLetters
	next    int
}

const deadTopic = "deadletters"

// options gives an API these letters.
func (l *letters) options(o *api.Options) {
	l.dead = pipeline.NewDeadLetters(pipeline.DeadLettersOptions{
		Tail: func() (pipeline.TopicTail, error) { return l, nil }, From: l, Out: l, Registry: confirmed{o.Store},
	})
	o.DeadLetters, o.History, o.AuditWriter = l.dead, l, l
}

// follow reads them until the test ends.
func (l *letters) follow(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = l.dead.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	require.Eventually(t, func() bool { _, err := l.dead.Open(); return err == nil }, time.Minute, time.Millisecond)
}

// confirmed is a registry that is always up to date.
type confirmed struct{ api.Store }

func (confirmed) ConfirmedAt() time.Time            { return time.Now() }
func (confirmed) Wait(context.Context, int64) error { return nil }

func (l *letters) Poll(ctx context.Context, fn func(*kafka.Record)) error {
	l.mu.Lock()
	some := l.records[l.next:]
	l.next = len(l.records)
	l.mu.Unlock()
	if len(some) == 0 {
		<-ctx.Done()
	}
	for _, r := range some {
		fn(r)
	}
	return ctx.Err()
}

func (l *letters) Left(ends map[int32]kafka.Ends) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, ends[0].End-int64(l.next))
}

func (l *letters) Ends(context.Context) (map[int32]kafka.Ends, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[int32]kafka.Ends{0: {End: int64(len(l.records))}}, nil
}

func (*letters) Close() {}

func (l *letters) Produce(_ context.Context, r *kafka.Record, promise func(*kafka.Record, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, r)
	go promise(r, nil)
}

func (l *letters) Fetch(_ context.Context, places []kafka.Place, _ int) (map[kafka.Place]*kafka.Record, []kafka.Place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[kafka.Place]*kafka.Record{}
	for _, p := range places {
		found[p] = l.records[p.Offset]
	}
	return found, nil, nil
}

func (*letters) Write(context.Context, ...audit.Entry) error { return nil }

// Of implements [api.History]: one try, whose endpoint answered with code.
func (*letters) Of(_ context.Context, d *delivery.Delivery, _, to time.Time) ([]outcome.Outcome, bool, error) {
	return []outcome.Outcome{{Attempt: d.Attempts, Verdict: outcome.Dead, Status: 503, At: to, Detail: hostile, ResponseBody: hostile}}, false, nil
}

// bury adds dead letters of an endpoint.
func (l *letters) bury(tenant, sub ident.ID, n int, result outcome.Result, status string) {
	for range n {
		at := len(l.records)
		msg := delivery.MessageID(tenant, "test", fmt.Sprint(at))
		d := &delivery.Delivery{
			ID: delivery.ID(msg, sub), Message: msg, Subscription: sub, Tenant: tenant, EventID: hostile, EventType: "order.created",
			EventTime: time.Unix(1_790_000_000, 0), Trigger: delivery.Trigger{Kind: delivery.TriggerEvent}, Attempts: 3,
			First: time.Unix(1_790_000_000, 0), Reason: "exhausted",
		}
		r := &kafka.Record{
			Topic: deadTopic, Offset: int64(at), Key: []byte(sub.UUID()), Value: fmt.Appendf(nil, `{"n":%d,"x":%q}`, at, hostile),
			Timestamp: time.Unix(1_790_000_000, 0).Add(time.Duration(at) * time.Minute),
		}
		for name, v := range d.Headers() {
			r.Headers = append(r.Headers, kafka.Header{Key: name, Value: []byte(v)})
		}
		r.Headers = append(r.Headers, kafka.Header{Key: "pr-result", Value: []byte(result)}, kafka.Header{Key: "pr-status", Value: []byte(status)})
		l.records = append(l.records, r)
	}
}

// buried is a site whose tenant acme has three dead letters of one cause and one of another.
func buried(t *testing.T) (s *site, app, id string) {
	t.Helper()
	s = newSite(t)
	id = s.endpoint(`{"url":"https://a.example/in","name":"CRM"}`)
	app = s.tenant("acme")
	tenant, err := ident.ParseBase62(subscription.TenantPrefix, app)
	require.NoError(t, err)
	s.letters.bury(tenant, idOf(t, id), 3, outcome.ResultServerError, "503")
	s.letters.bury(tenant, idOf(t, id), 1, outcome.ResultTimeout, "0")
	return s, app, id
}

var actLink = regexp.MustCompile(`href="([^"]+/dead-letter/act/[^"]+)"`)

// Dead letters are grouped by cause, and each group is redriven or discarded after its number was said.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	s, app, _ := buried(t)
	b, at := s.owner(), "/portal/app/"+app+"/dead-letter"
	require.Contains(t, b.get(at).body, "are being read")
	s.letters.follow(t)
	page := b.get(at).body
	for _, want := range []string{"The endpoint failed while it worked", `<span class="state bad">3</span>`, "CRM", "The endpoint did not answer in time", `<span class="state bad">1</span>`} {
		require.Contains(t, page, want)
	}
	links := actLink.FindAllStringSubmatch(page, -1)
	require.Len(t, links, 4)
	redrive, discard := strings.ReplaceAll(links[0][1], "&amp;", "&"), strings.ReplaceAll(links[3][1], "&amp;", "&")

	list := b.get(strings.Replace(redrive, "/act/redrive", "/list", 1))
	requireClean(t, at, list.body)
	found := regexp.MustCompile(`href="([^"]+/one/dlv_[^"]+)"`).FindAllStringSubmatch(list.body, -1)
	require.Len(t, found, 3)
	one := b.get(found[0][1])
	requireClean(t, found[0][1], one.body)
	require.GreaterOrEqual(t, strings.Count(one.body, "&lt;script&gt;alert(1)"), 3)
	require.Contains(t, one.body, "Not all tries are kept.")

	require.Contains(t, b.get(redrive).body, "It is about 3 of them.")
	fields := func(link string) url.Values {
		u, err := url.Parse(link)
		require.NoError(t, err)
		return u.Query()
	}
	path, _, _ := strings.Cut(redrive, "?")
	require.Contains(t, b.submit(redrive, path, fields(redrive)).body, "3 on their way.")
	path, _, _ = strings.Cut(discard, "?")
	require.Contains(t, b.get(discard).body, "cannot be undone")
	require.Contains(t, b.submit(discard, path, fields(discard)).body, "1 given up for good.")
	require.NotEmpty(t, s.letters.sent)
	require.Equal(t, http.StatusNotFound, b.get(at+"/act/explode").status)
	require.Equal(t, http.StatusUnprocessableEntity, b.submit(at, at+"/act/discard", nil).status, "never all without saying so")
}

// Another tenant has none of them, and who may only look is offered nothing.
func TestDeadLettersOfOthers(t *testing.T) {
	t.Parallel()
	s, app, id := buried(t)
	s.letters.follow(t)
	at := "/portal/app/" + app + "/dead-letter"
	one := regexp.MustCompile(`dlv_\w+`).FindString(s.owner().get(at + "/list?endpoint=" + id).body)
	require.NotEmpty(t, one)
	_, token := s.link("other")
	b, own := s.visitor(token), "/portal/app/"+s.tenant("other")
	for _, path := range []string{"", "/list", "/one/" + one, "/act/redrive?id=" + one} {
		require.Equal(t, http.StatusNotFound, b.get(at+path).status, path)
	}
	require.NotContains(t, b.get(own+"/dead-letter").body, "/act/")
	require.NotContains(t, b.get(own+"/dead-letter/list?endpoint="+id).body, one)
	require.Equal(t, http.StatusNotFound, b.get(own+"/dead-letter/one/"+one).status)
	require.Contains(t, b.submit(own+"/endpoint", own+"/dead-letter/act/discard", url.Values{"id": {one}}).body, "0 given up")
	_, reading := s.link("acme", "ViewBase")
	reader := s.visitor(reading)
	require.Contains(t, reader.get(at).body, "did not answer in time")
	require.NotContains(t, reader.get(at).body, "/act/")
	for _, action := range []string{"redrive", "discard"} {
		require.Equal(t, http.StatusForbidden, reader.get(at+"/act/"+action+"?id="+one).status)
		require.Equal(t, http.StatusForbidden, reader.submit(at, at+"/act/"+action, url.Values{"id": {one}}).status)
	}
	require.Empty(t, s.letters.sent)
}
