package conformance

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/topics"
)

// check checks what holds for every case, whatever its history shows.
func (w *writer) check(t *testing.T) {
	t.Helper()
	tries := map[string][]entry{}
	last := map[string]*outcome.Outcome{}
	dead := 0
	for _, e := range w.entries(t) {
		if e.row == nil {
			continue
		}
		if before := last[e.row.Delivery]; before != nil && before.Verdict == outcome.Retry && e.row.Attempted() {
			late := e.at.Sub(*before.Due)
			require.True(t, late >= 0 && late <= 2*step, "try %d of %s is %s late", e.row.Attempt, e.row.EventID, late)
		}
		last[e.row.Delivery] = e.row
		if e.row.Verdict == outcome.Dead {
			dead++
		}
		if e.request != nil {
			tries[e.row.Delivery] = append(tries[e.row.Delivery], e)
		}
	}
	for _, of := range tries {
		for i, e := range of {
			w.checkRequest(t, e)
			w.checkFlips(t, e.request, i == 0)
			w.checkSame(t, of[0].request, e.request)
		}
		w.checkAttemptIDs(t, of)
	}
	require.Equal(t, dead, w.buried(t), "dead letters")
	w.w.Read(topics.Rejected, func(r *kgo.Record) { require.Fail(t, "an event was rejected", "%s", r.Value) })
}

func (w *writer) buried(t *testing.T) (n int) {
	t.Helper()
	w.w.Read(topics.DeadLetters, func(r *kgo.Record) {
		if string(r.Key) == w.sub.ID.UUID() {
			n++
		}
	})
	return n
}

// checkRequest checks a signature as "postrider verify" does: it is right at the time of the request, and for no other body,
// time or id.
func (w *writer) checkRequest(t *testing.T, e entry) {
	t.Helper()
	r := e.request
	require.Equal(t, http.MethodPost, r.http.Method)
	require.Equal(t, w.sub.URL, "https://"+r.http.Host+r.http.URL.String(), "nothing else is requested, a redirect's target least of all")
	claim, err := w.verify(r.http.Header, r.body, r.at)
	require.NoError(t, err)
	if claim.ID != "" {
		require.Equal(t, e.row.Message, claim.ID)
	}
	require.WithinDuration(t, r.at, claim.At, time.Second, "the time of the try is signed, not that of the event")
}

// checkFlips checks that a request is refused when a byte of what is signed is another: any byte of it or, as that takes long,
// one of the body and one of each header.
func (w *writer) checkFlips(t *testing.T, r *request, every bool) {
	t.Helper()
	flip := func(text []byte, refused func(flipped []byte)) {
		for i := range text {
			if every || i == int(r.at.UnixMilli())%len(text) {
				flipped := bytes.Clone(text)
				flipped[i] ^= 1 << (i % 7)
				refused(flipped)
			}
		}
	}
	flip(r.body, func(flipped []byte) {
		_, err := w.verify(r.http.Header, flipped, r.at)
		require.ErrorAs(t, err, new(*sign.Refusal))
	})
	for name := range r.http.Header {
		if !w.signs(name) {
			continue
		}
		flip([]byte(r.http.Header.Get(name)), func(flipped []byte) {
			header := r.http.Header.Clone()
			header.Set(name, string(flipped))
			_, err := w.verify(header, r.body, r.at)
			require.ErrorAs(t, err, new(*sign.Refusal), name)
		})
	}
}

func (w *writer) verify(header http.Header, body []byte, at time.Time) (sign.Claim, error) {
	return sign.Verify(w.profile.Scheme(), []string{w.secret}, sign.Received{Header: header.Get, Body: body}, at, sign.DefaultTolerance)
}

// signs reports whether a header is of the signature.
func (w *writer) signs(name string) bool { return sign.HasHeader(w.profile.Scheme(), name) }

// fresh are the headers that are another for every try: the signature and its time, but never the id.
func (w *writer) fresh(name string) bool {
	return w.signs(name) && !strings.HasSuffix(strings.ToLower(name), "-id")
}

// checkSame checks that a try is the delivery's first one, byte by byte, but for what has to be new.
func (w *writer) checkSame(t *testing.T, first, again *request) {
	t.Helper()
	require.Len(t, again.lines, len(first.lines))
	for i, line := range first.lines {
		name, _, _ := strings.Cut(line, ":")
		if w.fresh(name) {
			require.True(t, strings.HasPrefix(again.lines[i], name+": "), again.lines[i])
			continue
		}
		require.Equal(t, line, again.lines[i])
	}
	require.Equal(t, string(withoutAttempt(first.body)), string(withoutAttempt(again.body)))
}

// attemptID is the one thing in a body that is another for every try, in flexEngage's alone.
var attemptID = regexp.MustCompile(`^(\{"id":"[0-9A-Z]{26}","brandId":"[^"]*","webhookId":"[0-9a-f-]{36}","attemptId":")([0-9A-Z]{26})"`)

func withoutAttempt(body []byte) []byte { return attemptID.ReplaceAll(body, []byte(`$1"`)) }

// checkAttemptIDs checks that every try of a delivery has an attempt id of its own, if it has any.
func (w *writer) checkAttemptIDs(t *testing.T, tries []entry) {
	t.Helper()
	var ids []string
	for _, e := range tries {
		found := attemptID.FindSubmatch(e.request.body)
		require.Equal(t, w.profile.Name == "flexengage", found != nil)
		if found == nil {
			return
		}
		id, err := ulid.ParseStrict(string(found[2]))
		require.NoError(t, err)
		require.Equal(t, e.at.UnixMilli(), ulid.Time(id.Time()).UnixMilli())
		require.NotContains(t, ids, id.String())
		ids = append(ids, id.String())
	}
	require.True(t, slices.IsSorted(ids), "ULIDs sort by time")
}
