package config

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/tracing"
)

var update = flag.Bool("update", false, "rewrite configs/reference.yaml")

const configs = "../../configs"

func TestDefaultIsValid(t *testing.T) {
	c := Default()
	require.NoError(t, c.Validate())
}

func TestReferenceIsUpToDate(t *testing.T) {
	path := filepath.Join(configs, "reference.yaml")
	if *update {
		require.NoError(t, os.WriteFile(path, Reference(), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(Reference()), string(got), "run go generate ./pkg/config")
}

func TestReferenceHoldsEveryKey(t *testing.T) {
	reference := string(Reference())
	for _, k := range configKeys() {
		require.Contains(t, reference, "# "+k.env()+"\n")
		require.NotEmpty(t, docs[k.path]+allowUndocumented[k.path], "docs lacks %s", k.path)
	}
	for _, k := range keysOf(reflect.TypeFor[Source]()) {
		require.Contains(t, reference, docs["sources[]."+k.path])
		require.NotEmpty(t, docs["sources[]."+k.path], "docs lacks sources[].%s", k.path)
	}
	known := map[string]bool{}
	for _, k := range configKeys() {
		for p := k.path; p != ""; p = p[:max(0, strings.LastIndexByte(p, '.'))] {
			known[p] = true
		}
	}
	for path := range docs {
		require.True(t, known[path] || strings.HasPrefix(path, "sources[]."), "docs holds %s, which is no key", path)
	}
}

var allowUndocumented = map[string]string{"kafka.sasl.user": "says its name"}

func TestReferenceLoadsAsDefault(t *testing.T) {
	got, err := Load(filepath.Join(configs, "reference.yaml"), nil, nil)
	require.NoError(t, err)
	want := Default()
	require.Empty(t, diff(want, *got))
}

func TestShippedFilesLoad(t *testing.T) {
	for _, name := range []string{"minimal.yaml", "production.yaml"} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(filepath.Join(configs, name), nil, nil)
			require.NoError(t, err)
			require.NotEmpty(t, c.Sources)
		})
	}
}

func diff(want, got Config) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(kafka.Config{}, "Dial"), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
}

func TestEnvironmentNamesDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, k := range configKeys() {
		require.Empty(t, seen[k.env()], "%s and %s have the same variable", k.path, seen[k.env()])
		seen[k.env()] = k.path
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postrider.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestLoadLayers(t *testing.T) {
	path := write(t, `
kafka:
  brokers: [file:9092]
  prefix: file.
redis: {addresses: ["r:1"], db: 3}
egress:
  allow_networks: [10.0.0.0/8, fd00::/8]
  ports: [9443]
  proxy: {url: "http://proxy.corp:3128", username: rider}
deliverer:
  max_in_flight_bytes: 64MiB
  workers: 1
`)
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(flags)
	flags.String("other", "x", "a flag of another purpose")
	require.NoError(t, flags.Parse([]string{"--log-level=debug", "--set", "deliverer.drain=7s", "--set=deliverer.workers=9"}))
	c, err := Load(path, flags, []string{
		"POSTRIDER_KAFKA_BROKERS=a:1, b:2", "POSTRIDER_LOG_LEVEL=warn", "POSTRIDER_DELIVERER_WORKERS=5",
		"POSTRIDER_REDIS_SERVICE_HOST=10.0.0.1", "POSTRIDER_REDIS_PORT_6379_TCP_ADDR=10.0.0.1", "POSTRIDER_TOKEN=x", "PATH=/bin",
		"POSTRIDER_SOURCES=[{name: s, topics: [t], format: json, tenant: acme, mapping: {type: kind}}]",
		"POSTRIDER_REDIS_TLS_ENABLED=true", "POSTRIDER_EGRESS_PROXY_PASSWORD=hunter2",
	})
	require.NoError(t, err)
	want := Default()
	want.Kafka.Brokers = []string{"a:1", "b:2"}
	want.Kafka.Prefix = "file."
	want.Redis = Redis{Addresses: []string{"r:1"}, DB: 3, TLS: RedisTLS{Enabled: true}, CallTimeout: time.Second}
	want.Log.Level = "debug"
	want.Deliverer.Workers = 9
	want.Deliverer.Drain = 7 * time.Second
	want.Deliverer.MaxInFlightBytes = 64 << 20
	want.Egress.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	want.Egress.Ports = []int{9443}
	want.Egress.Proxy = Proxy{URL: "http://proxy.corp:3128", Username: "rider", Password: "hunter2"}
	want.Sources = []Source{{
		Source: event.Source{Name: "s", Format: event.FormatJSON, Tenant: "acme", Mapping: event.Mapping{Type: "kind"}},
		Topics: []string{"t"},
	}}
	require.Empty(t, diff(want, *c))
	require.Equal(t, []string{"file.events"}, c.AllSources()[0].Topics)
	require.Equal(t, want.Sources[0], c.AllSources()[1])
}

func TestTracingIsReadFromEverywhere(t *testing.T) {
	want := tracing.Sampling{Ratio: 0.5, FollowParent: true, Tenants: []tracing.TenantRatio{{Tenant: "acme", Ratio: 1}, {Tenant: "app_x", Ratio: 0}}}
	file := filepath.Join(t.TempDir(), "postrider.yaml")
	require.NoError(t, os.WriteFile(file, []byte("tracing: {ratio: 0.5, tenants: [acme=1, app_x=0]}\n"), 0o600))
	c, err := Load(file, nil, nil)
	require.NoError(t, err)
	require.Equal(t, want, c.Tracing.Sampling())
	require.Contains(t, c.String(), `tracing.tenants: ["acme=1", "app_x=0"]`)
	c, err = Load("", nil, []string{"POSTRIDER_TRACING_TENANTS=acme=1, app_x=0", "POSTRIDER_TRACING_RATIO=0.5"})
	require.NoError(t, err)
	require.Equal(t, want, c.Tracing.Sampling())
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name, file string
		environ    []string
		args       []string
		want       []string
	}{
		{name: "unknown section", file: "kafak:\n  brokers: [a:1]\n", want: []string{"postrider.yaml:1: kafak: no such key: did you mean kafka?"}},
		{name: "unknown key", file: "kafka:\n  brokers: [a:1]\n  broker: b\n", want: []string{"postrider.yaml:3: kafka.broker: no such key: did you mean brokers?"}},
		{
			name: "unknown key of a source", file: "sources:\n  - name: s\n    topics: [t]\n    mapping:\n      tennant: x\n",
			want: []string{"postrider.yaml:5: sources[0].mapping.tennant: no such key: did you mean tenant?"},
		},
		{name: "several at once", file: "deliverer: {workers: many, drain: 5}\nlog: {level: info}\nhttp: {listen: [1]}\n", want: []string{
			`deliverer.workers: "many": want a whole number`, `deliverer.drain: "5": want a duration such as`, "http.listen: a list or a section: want a text",
		}},
		{name: "several invalid", file: "deliverer: {workers: 0}\nlog: {level: loud}\nkafka: {session_timeout: 1m}\n", want: []string{
			"deliverer.workers: 0: want 1 to 65536", `log.level: "loud": want debug, info, warn, error`, "kafka.session_timeout: 1m0s: want 6s to 10s",
		}},
		{name: "Sentinel without a master", file: "redis: {sentinel: {username: u}}\n", want: []string{"redis.sentinel.master: missing: want the master's name"}},
		{name: "two passwords of Sentinels", file: "redis: {sentinel: {master: m, password_file: f}}\n", environ: []string{"POSTRIDER_REDIS_SENTINEL_PASSWORD=hush"}, want: []string{
			"redis.sentinel: password and password_file: want one of them",
		}},
		{name: "a database of a cluster", file: "redis: {addresses: [\"a:1\", \"b:1\"], db: 1}\n", want: []string{"redis.db: 1: want 0, a Redis Cluster has no other"}},
		{name: "portal", file: "api: {portal_url: \"https://a.example/api/portal\"}\nportal: {accent: red, frame_ancestors: [a.example]}\n", want: []string{
			"api.portal_url: ", "portal.accent: ", "portal.frame_ancestors[0]: ",
		}},
		{name: "embedded without TLS", file: "portal: {frame_ancestors: [\"https://a.example\"]}\n", want: []string{"portal.frame_ancestors: want https at api.portal_url"}},
		{name: "timeout of Redis", file: "redis: {call_timeout: 10ms}\n", want: []string{"redis.call_timeout: 10ms: want 100ms to 1m"}},
		{name: "outcomes", file: "deliverer: {outcomes: {response_body: hide, response_headers: '', url_query: 'yes'}}\n", want: []string{
			`deliverer.outcomes.response_body: "hide": want keep, drop`, `deliverer.outcomes.response_headers: "": want keep, drop`,
			`deliverer.outcomes.url_query: "yes": want keep, drop`,
		}},
		{name: "canary", file: "canary: {interval: 10ms, lost_after: 1s}\n", want: []string{
			`canary.url: "": want http(s)://host:port/canary`, "canary.interval: 10ms: want 1s to 1h", "canary.lost_after: 1s: want 10s to 24h",
		}},
		{name: "canary elsewhere", file: "canary: {interval: 10s, url: \"http://api:8070/api/v1/app\"}\napi: {portal_url: \"https://a.example/canary\"}\n", want: []string{
			`canary.url: "http://api:8070/api/v1/app": want http(s)://host:port/canary`, "api.portal_url: ",
		}},
		{name: "tracing", file: "tracing: {endpoint: 'http://user:hush@collector:4318', ratio: 1.5}\n", want: []string{
			"tracing.endpoint: want http(s)://host:port, without a user", "tracing.ratio: 1.5: want 0 to 1",
		}},
		{name: "what is traced", file: "tracing: {ratio: much, tenants: [acme=0.1, beta=2]}\n", want: []string{
			`tracing.ratio: "much": want a number such as 0.01`, `tracing.tenants: [1]: "beta=2": want tenant=ratio such as acme=0.1`,
		}},
		{name: "size", file: "deliverer: {max_in_flight_bytes: 5MB}\n", want: []string{`deliverer.max_in_flight_bytes: "5MB": want a size such as`}},
		{name: "too small a size", file: "deliverer: {max_in_flight_bytes: 1KiB}\n", want: []string{"deliverer.max_in_flight_bytes: 1KiB: want 2MiB to 1024GiB"}},
		{name: "network", file: "egress: {allow_networks: [10.0.0.1/8]}\n", want: []string{"egress networks: 10.0.0.1/8: want 10.0.0.0/8"}},
		{name: "proxy", file: "egress: {proxy: {url: 'http://user:hush@proxy:3128', password_file: f}}\n", environ: []string{"POSTRIDER_EGRESS_PROXY_PASSWORD=hush"}, want: []string{
			"egress.proxy.url: want http://host:port or https://host:port, and user and password beside it", "egress.proxy: password and password_file: want one of them",
		}},
		{name: "variable", environ: []string{"POSTRIDER_KAFKA_BROKER=a:1"}, want: []string{"POSTRIDER_KAFKA_BROKER: no such setting: did you mean POSTRIDER_KAFKA_BROKERS?"}},
		{name: "flag", args: []string{"--set", "log.lvl=debug"}, want: []string{"--set log.lvl: want key=value", "did you mean log.level?"}},
		{name: "no YAML", file: "kafka: [", want: []string{"postrider.yaml:1:8: sequence end token ']' not found"}},
		{name: "the same key twice", file: "log: {level: info}\nlog: {level: warn}\n", want: []string{`postrider.yaml:2:1: mapping key "log" already defined`}},
		{name: "source without topics", file: "sources: [{name: s}]", want: []string{"sources[0]: want topics or pattern"}},
		{name: "two sources of a topic", file: "sources: [{name: a, topics: [t]}, {name: a, topics: [t]}]", want: []string{
			`sources[1].name: "a": want a name that no other source has`, `sources[1].topics: "t": is read by another source already`,
		}},
		{name: "mapping without paths", file: "sources: [{name: a, topics: [t], format: json, mapping: {id: 'a.#'}}]", want: []string{
			"sources[0].mapping.type: missing", "sources[0].mapping.tenant: missing", `sources[0].mapping.id: "a.#"`,
		}},
		{name: "own topics", file: "sources: [{name: a, pattern: '.*'}, {name: b, topics: [postrider.deliveries]}, {name: c, topics: [postrider.events]}]", want: []string{
			`sources[0].pattern: ".*": want a pattern that does not match postrider.events`,
			`sources[1].topics: "postrider.deliveries": want topics that are not Postrider's own`,
			`sources[2].topics: "postrider.events": is read by another source already`,
		}},
		{name: "pattern", file: "sources: [{name: a, pattern: '('}]", want: []string{"sources[0].pattern: error parsing regexp"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			AddFlags(flags)
			require.NoError(t, flags.Parse(tt.args))
			_, err := Load(write(t, tt.file), flags, tt.environ)
			require.Error(t, err)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "hush")
		})
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestSecretsAreNotShown(t *testing.T) {
	c := Default()
	c.Kafka.SASL.Password, c.Redis.Password, c.Egress.Proxy.Password = "hunter2", "hunter2", "hunter2"
	c.Redis.Sentinel.Password = "hunter2"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, shown := range []string{fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c)} {
			require.NotContains(t, shown, "hunter2")
			require.Contains(t, shown, "redis.password: (hidden)")
			require.Contains(t, shown, "redis.sentinel.password: (hidden)")
			require.Contains(t, shown, "egress.proxy.password: (hidden)")
		}
	}
	require.NotContains(t, c.LogValue().String(), "hunter2")
}

func TestByteSize(t *testing.T) {
	for _, tt := range []struct {
		in, out string
		n       ByteSize
	}{{"0", "0B", 0}, {"1536", "1536B", 1536}, {"256MiB", "256MiB", 256 << 20}, {"1024 KiB", "1MiB", 1 << 20}, {"2GiB", "2GiB", 2 << 30}} {
		got, err := ParseByteSize(tt.in)
		require.NoError(t, err)
		require.Equal(t, tt.n, got)
		require.Equal(t, tt.out, got.String())
	}
	for _, in := range []string{"", "MiB", "-1", "1.5GiB", "5MB", "9223372036854775807GiB"} {
		_, err := ParseByteSize(in)
		require.Error(t, err, in)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("kafka: {brokers: [a:1]}\nsources: [{name: a, topics: [t]}]\n")
	f.Add("sources: [[], {mapping: 3}]\n")
	f.Add("deliverer: {workers: {}}\n1: 2\n? [a]\n: b\n")
	f.Add("000000[0:") // found: the parser said nothing of it
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "fuzz.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, nil, nil)
		if err == nil && c.Validate() != nil {
			t.Fatalf("Load returned an invalid configuration: %v", c.Validate())
		}
	})
}
