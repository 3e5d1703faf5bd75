package demo

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/sign"
)

// bodies are what the profiles that the receiver knows make of the data {"n": 1}. An endpoint is called as its profile here.
var bodies = map[string]string{
	"standard":       `{"type":"T","data":{"n": 1}}`,
	"flexengage":     `{"id":"e1","type":"T","data":{"n": 1}}`,
	"dixa":           `{"event_id":"e1","data":{"n": 1}}`,
	"voyado":         `{"eventId":"e1","isEncrypted":false,"payload":{"n": 1}}`,
	"svix":           `{"n": 1}`,
	"voice-platform": `{"n": 1}`,
}

// serveReceiver serves an endpoint of every profile and returns what they note, and a function that sends what Postrider
// signs.
func serveReceiver(t *testing.T) (notes chan Receipt, send func(name string, change func(*http.Request, []byte) []byte) int) {
	t.Helper()
	profiles, err := profile.Load(configs.Profiles)
	require.NoError(t, err)
	var all []Endpoint
	signers := map[string]sign.Signer{}
	for name := range bodies {
		p, ok := profiles.Get(name)
		require.True(t, ok, name)
		secret, err := p.Scheme().NewSecret()
		require.NoError(t, err)
		signers[name], err = p.Scheme().Signer([]string{secret})
		require.NoError(t, err)
		all = append(all, Endpoint{Name: name, Profile: name, Secrets: []string{secret}})
	}
	notes = make(chan Receipt, 1)
	r, err := NewReceiver(all, func(n Receipt) { notes <- n })
	require.NoError(t, err)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return notes, func(name string, change func(*http.Request, []byte) []byte) int {
		body := []byte(bodies[name])
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/"+name, nil)
		require.NoError(t, err)
		for _, h := range signers[name].Append(nil, "msg_1", time.Now(), body) {
			req.Header.Set(h.Name, h.Value)
		}
		if change != nil {
			body = change(req, body)
		}
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
}

func TestReceiverVerifies(t *testing.T) {
	t.Parallel()
	notes, send := serveReceiver(t)
	data := sha256.Sum256([]byte(`{"n": 1}`))
	for name := range bodies {
		require.Equal(t, http.StatusOK, send(name, nil), name)
		ref := "msg_1"
		if name == "dixa" {
			ref = "e1" // there is no message id in its form
		}
		require.Equal(t, Receipt{Endpoint: name, Ref: ref, Data: data, Accepted: true}, <-notes)
	}
}

func TestReceiverRefusesWhatWasTamperedWith(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request, []byte) []byte{
		"body":      func(_ *http.Request, body []byte) []byte { return bytes.Replace(body, []byte("1"), []byte("2"), 1) },
		"no header": func(r *http.Request, body []byte) []byte { r.Header = http.Header{}; return body },
		"time": func(r *http.Request, body []byte) []byte {
			r.Header.Set("webhook-timestamp", "1")
			r.Header.Set("svix-timestamp", "1")
			r.Header.Set("X-Dixa-Signature", "t=1"+r.Header.Get("X-Dixa-Signature")[min(15, len(r.Header.Get("X-Dixa-Signature"))):])
			return body
		},
		"signature": func(r *http.Request, body []byte) []byte {
			for _, h := range []string{"webhook-signature", "svix-signature", "X-Dixa-Signature"} {
				s := r.Header.Get(h)
				r.Header.Set(h, strings.Map(func(c rune) rune {
					if c == 'a' || c == 'b' || c == 'c' || c == 'd' {
						return 'e'
					}
					return c
				}, s)+"0")
			}
			return body
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notes, send := serveReceiver(t)
			for endpoint := range bodies {
				require.Equal(t, http.StatusUnauthorized, send(endpoint, change))
				n := <-notes
				require.Error(t, n.Err)
				require.False(t, n.Accepted)

				y := NewTally([]Endpoint{{Name: endpoint}})
				y.Received(n)
				bad, all := y.Unverified()
				require.Equal(t, []int{1, 1}, []int{bad, all})
				require.False(t, y.Summary().OK())
			}
		})
	}
}

func TestDixaSignaturesAreOfNow(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{7}, 32)
	signer, err := sign.Dixa{}.Signer([]string{strings.Repeat("07", 32)})
	require.NoError(t, err)
	at := time.UnixMilli(1_689_238_949_803)
	header := signer.Append(nil, "", at, []byte("{}"))[0].Value
	require.NoError(t, verifyDixa(key, header, []byte("{}"), at.Add(tolerance)))
	require.ErrorIs(t, verifyDixa(key, header, []byte("{}"), at.Add(tolerance+time.Millisecond)), errTooOld)
	require.ErrorIs(t, verifyDixa(key, header, []byte("{ }"), at), errSignature)
	for _, bad := range []string{"", "t=1", "t=x,v1=00", "t=1,v1=zz", "v1=00,t=1"} {
		require.ErrorIs(t, verifyDixa(key, bad, []byte("{}"), at), errForm, bad)
	}
}

func TestReceiverKnowsItsEndpoints(t *testing.T) {
	t.Parallel()
	r, err := NewReceiver(nil, func(Receipt) { t.Error("noted") })
	require.NoError(t, err)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/crm", strings.NewReader("{}")))
	require.Equal(t, http.StatusNotFound, w.Code)
	_, err = NewReceiver([]Endpoint{{Name: "x", Profile: "cloudevents", Secrets: []string{"s"}}}, nil)
	require.ErrorContains(t, err, `profile "cloudevents"`)
	_, err = NewReceiver([]Endpoint{{Name: "x", Profile: "dixa"}}, nil)
	require.ErrorContains(t, err, "no secret")
}

func TestFlakyFailsTheSameWayEveryTime(t *testing.T) {
	t.Parallel()
	a, b := newBehaviour("flaky"), newBehaviour("flaky")
	seen := map[int]int{}
	hung := 0
	for range 1000 {
		x := a.next()
		require.Equal(t, x, b.next())
		if x.hang {
			hung++
			continue
		}
		seen[x.status]++
	}
	require.InDelta(t, 600, seen[http.StatusOK], 60)
	require.Positive(t, seen[http.StatusInternalServerError]*seen[http.StatusServiceUnavailable]*seen[http.StatusTooManyRequests]*hung)
	for range 1000 {
		require.Equal(t, http.StatusOK, newBehaviour("crm").next().status)
	}
}
