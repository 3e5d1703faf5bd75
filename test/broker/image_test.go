package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/test/internal/node"
	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
)

// imageVar names the image of Postrider that the engine has: test/images/postrider.sh loads it.
const imageVar = "POSTRIDER_TEST_IMAGE"

// shipped is an installation whose roles are containers of the image.
type shipped struct {
	t     *testing.T
	image string
	conf  config.Config // the same as theirs
	env   map[string]string
}

func newShipped(t *testing.T, image string) *shipped {
	t.Helper()
	s := &shipped{t: t, image: image, conf: config.Default()}
	c := &s.conf
	c.Kafka = kafka.Config{Brokers: kafkatest.Shared(t), Prefix: fmt.Sprintf("image-%s.", ident.New().UUID()[24:])}
	c.Redis.Addresses = []string{redistest.Shared(t)}
	keyset, err := seal.Generate()
	require.NoError(t, err)
	c.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	s.env = map[string]string{
		"POSTRIDER_KAFKA_BROKERS": strings.Join(c.Kafka.Brokers, ","), "POSTRIDER_KAFKA_PREFIX": c.Kafka.Prefix,
		"POSTRIDER_REDIS_ADDRESSES": c.Redis.Addresses[0], "POSTRIDER_ENCRYPTION_KEYSET": c.Encryption.Keyset,
		"POSTRIDER_EGRESS_ALLOW_HTTP": "true", "POSTRIDER_EGRESS_ANY_PORT": "true", "POSTRIDER_EGRESS_ALLOW_NETWORKS": "127.0.0.0/8",
	}
	return s
}

// start runs a command of the image, without rights and without a place to write, and returns where it shows its health.
func (s *shipped) start(args ...string) (c *node.Container, ops string) {
	s.t.Helper()
	address, err := rig.FreeAddress(s.t.Context())
	require.NoError(s.t, err)
	c = &node.Container{Image: s.image, Cmd: args, Env: maps.Clone(s.env), Restricted: true}
	c.Env["POSTRIDER_HTTP_LISTEN"] = address
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("%v:\n%s", args, c.Log())
		}
		require.NoError(s.t, c.Remove())
	})
	require.NoError(s.t, c.Start(s.t.Context()))
	return c, "http://" + address
}

// command runs a command to its end, as the chart's job and "kubectl exec" do, and returns what it printed.
func (s *shipped) command(args ...string) string {
	s.t.Helper()
	c, _ := s.start(args...)
	require.Eventually(s.t, func() bool { return !c.Running(s.t.Context()) }, 2*time.Minute, 100*time.Millisecond, "%v", args)
	code, err := c.ExitCode(s.t.Context())
	require.NoError(s.t, err)
	require.Zero(s.t, code, "%v: %s", args, c.Log())
	return c.Log()
}

// nobody checks what the kernel says of a container's process: not root, no capabilities, and no way to get any.
func (s *shipped) nobody(c *node.Container) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID(s.t.Context())))
	require.NoError(s.t, err)
	status := strings.Join(strings.Fields(string(text)), " ")
	for _, want := range []string{"Uid: 65532 65532", "Gid: 65532 65532", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1"} {
		require.Contains(s.t, status, want)
	}
}

// walk returns the commands of Postrider that deploy/helm/README.md has a newcomer run, in their order.
func walk(t *testing.T) (commands [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/helm/README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "## From an empty cluster to the first delivery")
	require.True(t, found)
	rest, _, found = strings.Cut(rest, "\n## ")
	require.True(t, found)
	for _, m := range regexp.MustCompile(`(?m)^ +(?:kubectl .*-- /)?postrider (.*)$`).FindAllStringSubmatch(rest, -1) {
		var args []string
		for _, a := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(m[1], -1) {
			args = append(args, strings.Trim(a, "'"))
		}
		commands = append(commands, args)
	}
	return commands
}

// The image does the work of every role, one container each, and the commands of the newcomer's walk in the chart's README lead to a
// delivery: an event is delivered, at the second try, with a signature that verifies.
func TestImageRunsEveryRole(t *testing.T) {
	image := os.Getenv(imageVar)
	if image == "" {
		t.Skip(imageVar + " is not set: \"make test-containers\" sets it")
	}
	s := newShipped(t, image)
	s.command("topics", "apply", "--partitions=2")
	address, err := rig.FreeAddress(t.Context())
	require.NoError(t, err)
	s.env["POSTRIDER_API_LISTEN"] = address
	var all []*node.Container
	for _, role := range []string{"router", "deliver", "retry", "recorder", "api"} {
		c, ops := s.start(role)
		all = append(all, c)
		require.Eventually(t, func() bool { return c.Running(t.Context()) && healthy(t, ops+"/readyz") }, 2*time.Minute, 100*time.Millisecond, "%s", role)
		s.nobody(c)
	}
	s.env["POSTRIDER_SERVER"] = "http://" + address
	got := make(chan *http.Request, 10)
	erp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if got <- r; len(got) == 1 { // the first try
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer erp.Close()
	s.follow(walk(t), erp.URL+"/events")

	var first, second *http.Request
	require.Eventually(t, func() bool { return len(got) == 2 }, time.Minute, 50*time.Millisecond, "two tries")
	first, second = <-got, <-got
	require.Equal(t, first.Header.Get("webhook-id"), second.Header.Get("webhook-id"))
	u, signing := &tourist{base: "http://" + address + "/api/v1", token: s.env["POSTRIDER_TOKEN"]}, ""
	u.step(t.Context(), "GET", "/app/acme/endpoint/erp/secret", "", http.StatusOK, field("key", &signing))
	u.step(t.Context(), "GET", "/app/acme/attempt/msg/"+second.Header.Get("webhook-id"), "", http.StatusOK, func(answer []byte) error {
		if strings.Count(string(answer), `"responseStatusCode":`) < 2 {
			return errors.New("want both attempts")
		}
		return nil
	})
	require.NoError(t, u.err)
	verifier, err := webhooks.NewWebhook(signing)
	require.NoError(t, err)
	for _, r := range []*http.Request{first, second} {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NoError(t, verifier.Verify(body, r.Header))
		require.Contains(t, string(body), `{"id":4711}`)
	}
	for _, c := range all {
		require.NoError(t, c.Stop(t.Context()))
		code, err := c.ExitCode(t.Context())
		require.NoError(t, err)
		require.Zero(t, code, "%s", c.Log())
	}
}

// follow runs the commands of a walk, with an endpoint of the test's in place of theirs.
func (s *shipped) follow(commands [][]string, endpoint string) {
	s.t.Helper()
	var ran []string
	for _, args := range commands {
		for i := range args {
			args[i] = strings.Replace(args[i], "https://erp.example.com/events", endpoint, 1)
		}
		ran = append(ran, args[0])
		switch args[0] {
		case "keys": // the keyset is there
		case "key": // whoever walks copies the token
			var key struct{ Token string }
			require.NoError(s.t, json.Unmarshal([]byte(s.command(append(args, "-o", "json")...)), &key))
			s.env["POSTRIDER_TOKEN"] = key.Token
		case "outcomes":
			require.Eventually(s.t, func() bool { return strings.Contains(s.command(args...), "delivered") }, time.Minute, time.Second)
		default:
			s.command(args...)
		}
	}
	require.Equal(s.t, []string{"keys", "doctor", "key", "app", "endpoint", "publish", "outcomes"}, ran)
}

// healthy tells whether a GET is answered 200.
func healthy(t *testing.T, url string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
