package kafkatest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The listeners of a broker. Clients use one, with or without TLS and SASL; the
// brokers and the readiness check use another that is always plain, so that
// neither depends on what is under test.
const (
	clientListener     = "CLIENT"
	internalListener   = "INTERNAL"
	controllerListener = "CONTROLLER"
)

// address is where one broker listens, all on 127.0.0.1.
type address struct{ client, internal, controller int }

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// nodeID is the id of broker i. Kafka counts from 0; ids from 1 keep an unset
// id from looking like a broker.
func nodeID(i int) int { return i + 1 }

// properties returns the server.properties of broker i.
func (c *Cluster) properties(i int, dataDir string) string {
	n := c.options.Brokers
	replicas := strconv.Itoa(min(3, n))
	inSync := "1"
	if n >= 3 {
		inSync = "2"
	}
	at := c.addresses[i]
	voters := make([]string, n)
	for j, a := range c.addresses {
		voters[j] = fmt.Sprintf("%d@%s", nodeID(j), local(a.controller))
	}
	p := map[string]string{
		"process.roles":            "broker,controller",
		"node.id":                  strconv.Itoa(nodeID(i)),
		"controller.quorum.voters": strings.Join(voters, ","),
		"log.dirs":                 dataDir,
		"listeners": fmt.Sprintf("%s://%s,%s://%s,%s://%s", clientListener, local(at.client),
			internalListener, local(at.internal), controllerListener, local(at.controller)),
		"advertised.listeners": fmt.Sprintf("%s://%s,%s://%s", clientListener, local(at.client),
			internalListener, local(at.internal)),
		"inter.broker.listener.name": internalListener,
		"controller.listener.names":  controllerListener,
		"listener.security.protocol.map": fmt.Sprintf("%s:%s,%s:PLAINTEXT,%s:PLAINTEXT", clientListener,
			c.protocol(), internalListener, controllerListener),

		// Nothing appears by accident.
		"auto.create.topics.enable": "false",

		// As durable as the number of brokers allows.
		"default.replication.factor":                       replicas,
		"min.insync.replicas":                              inSync,
		"offsets.topic.replication.factor":                 replicas,
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    inSync,
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            inSync,

		// Fast for tests: no wait for more members, few partitions to load, small
		// sessions allowed, a dead broker noticed within seconds.
		"group.initial.rebalance.delay.ms":             "0",
		"metadata.max.idle.interval.ms":                "0", // no records that say that nothing happened
		"group.min.session.timeout.ms":                 "1000",
		"offsets.topic.num.partitions":                 "4",
		"transaction.state.log.num.partitions":         "4",
		"share.coordinator.state.topic.num.partitions": "4",
		"broker.session.timeout.ms":                    "5000",
		"broker.heartbeat.interval.ms":                 "500",
		"replica.fetch.backoff.ms":                     "200",

		// Small: several brokers share the machine with the tests.
		"num.io.threads":                 "4",
		"num.network.threads":            "2",
		"background.threads":             "2",
		"log.cleaner.dedupe.buffer.size": "8388608",
		"log.index.size.max.bytes":       "1048576",
	}
	maps.Copy(p, c.securityProperties(i))
	maps.Copy(p, c.options.Properties)
	maps.Copy(p, c.options.BrokerProperties[i])
	return render(p)
}

// protocol is the security protocol of the clients' listener.
func (c *Cluster) protocol() string {
	switch {
	case c.options.TLS && c.options.SASL != nil:
		return "SASL_SSL"
	case c.options.TLS:
		return "SSL"
	case c.options.SASL != nil:
		return "SASL_PLAINTEXT"
	default:
		return "PLAINTEXT"
	}
}

func (c *Cluster) securityProperties(i int) map[string]string {
	p := map[string]string{}
	prefix := "listener.name." + strings.ToLower(clientListener) + "."
	if c.options.TLS {
		p[prefix+"ssl.keystore.type"] = "PEM"
		p[prefix+"ssl.keystore.certificate.chain"] = c.certs[i].chain
		p[prefix+"ssl.keystore.key"] = c.certs[i].key
	}
	if s := c.options.SASL; s != nil {
		jaas := "org.apache.kafka.common.security.scram.ScramLoginModule required;"
		if s.Mechanism == Plain {
			jaas = fmt.Sprintf("org.apache.kafka.common.security.plain.PlainLoginModule required user_%s=%q;",
				s.User, s.Password)
		}
		p[prefix+"sasl.enabled.mechanisms"] = string(s.Mechanism)
		p[prefix+strings.ToLower(string(s.Mechanism))+".sasl.jaas.config"] = jaas
	}
	return p
}

// render writes properties as Java reads them: a backslash and the end of a
// line inside a value are escaped.
func render(p map[string]string) string {
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", key, escape.Replace(p[key]))
	}
	return b.String()
}
