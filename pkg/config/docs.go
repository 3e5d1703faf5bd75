package config

// docs says what a section or a key is for, in the words of the reference file. Elements of lists stand under the
// list's key with [].
var docs = map[string]string{ //nolint:gochecknoglobals // a table
	"kafka":                    "How to reach Apache Kafka, 3.8 or later.",
	"kafka.brokers":            "Seed addresses, host:port.",
	"kafka.client_id":          "Shown in the brokers' logs and quotas.",
	"kafka.prefix":             "Before the name of every topic, group and transactional id of Postrider's own. Two installations in one cluster\nneed two prefixes. Changing it starts from empty topics.",
	"kafka.tls.enabled":        "TLS to the brokers.",
	"kafka.tls.ca_file":        "Certificates to trust, PEM. Empty: the system's.",
	"kafka.tls.cert_file":      "Certificate and key of this client, PEM, for mutual TLS. Both or neither.",
	"kafka.tls.key_file":       "See cert_file.",
	"kafka.tls.server_name":    "Replaces the broker's host name when its certificate is checked.",
	"kafka.sasl.mechanism":     "Empty (none), PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.",
	"kafka.sasl.user":          "",
	"kafka.sasl.password":      "Better given as environment variable or through password_file.",
	"kafka.sasl.password_file": "A file that holds the password; wins over password.",
	"kafka.group_protocol":     "classic (cooperative-sticky) or consumer (KIP-848; brokers before 4.3 have commit races).",
	"kafka.session_timeout":    "How long a silent member keeps its partitions: 6s to 10s. With group_protocol consumer the brokers decide.",
	"kafka.on_out_of_range":    "What to do when a committed offset is not in the log any more. stop: the partition stays unread and the process\nunready, until someone decides. earliest: go on at the start of the log.",

	"kafka.fetch_max_wait": "How long a broker holds a fetch that finds nothing: what a record in a quiet retry tier may be late by. At most 5s.",

	"redis":                        "How to reach Redis, 7 or later. The views are there, and roles report which version of the registry they have, for\n\"apply --wait\"; deliveries go on without it.",
	"redis.addresses":              "host:port. More than one address is a Redis Cluster; with sentinel.master they are those of the Sentinels.",
	"redis.username":               "ACL user. Empty: the default user.",
	"redis.password":               "Better given as environment variable or through password_file. One of the two.",
	"redis.password_file":          "A file that holds the password.",
	"redis.sentinel.master":        "The name that Redis Sentinel has for the master. Empty: no Sentinel.",
	"redis.sentinel.username":      "ACL user of the Sentinels. Empty: the default user.",
	"redis.sentinel.password":      "Password of the Sentinels, which may be another than Redis'. Better given as environment variable or through\npassword_file. One of the two.",
	"redis.sentinel.password_file": "A file that holds the password.",
	"redis.tls.enabled":            "TLS to Redis, and to the Sentinels.",
	"redis.tls.ca_file":            "Certificates to trust, PEM. Empty: the system's.",
	"redis.db":                     "Database number; 0 in a Redis Cluster.",
	"redis.call_timeout":           "How long a call may take, 100ms to 1m. Publishing waits as long for Redis, and then does without: an event id that\nwas published before is not noticed.",

	"http":           "The operational listener of every role: /healthz, /readyz and /metrics. Not for the public.",
	"http.listen":    "host:port or :port.",
	"http.profiling": "Serve the Go runtime's profiles at /debug/pprof/. They hold no event and no secret, but a trace costs CPU.",

	"api":                     "The management API, `postrider api`. Terminate TLS in front of it.",
	"api.listen":              "host:port or :port.",
	"api.portal_url":          "Where customers reach the portal; links with portal tokens begin with it.",
	"api.requests_per_second": "Requests of one key a second, sustained; more are answered 429 with Retry-After. Per process.",
	"api.burst":               "Requests of one key at once.",
	"api.source_ips":          "Networks that deliveries come from, as receivers see them: published at /api/v1/source-ips.",
	"api.trusted_proxies":     "Networks whose X-Forwarded-For is believed in logs, audit and limits. None: the peer's address counts.",
	"api.validate_payloads":   "Refuse published events (422) that do not match the schema of their event type, if it has one.",

	"portal":                 "What customers see at api.portal_url. The API serves it at the path of that URL.",
	"portal.name":            "In the header and in titles. Empty: Webhooks.",
	"portal.logo":            "An image: data:image/… (PNG, JPEG, WebP or SVG, at most 128 KiB), or its https URL. Empty: none.",
	"portal.accent":          "The colour of buttons and links, such as #2457d6. Where it could not be read it is made darker or lighter.",
	"portal.frame_ancestors": "Origins whose pages may embed the portal, such as https://app.example.com. It wants https at api.portal_url.",

	"notices":                    "Tenants choose whom to tell when their endpoints fail: e-mail addresses and a chat. `postrider api` tells them.",
	"notices.gather":             "How long the first notice waits for what else goes wrong. 0s to 1h; it may come 30s later.",
	"notices.every":              "The least time between two notices to a recipient. 1m to 24h.",
	"notices.smtp":               "The mail server that takes notices to all addresses.",
	"notices.smtp.host":          "Its name, as its certificate has it. Empty: no mail is sent, and tenants cannot choose addresses.",
	"notices.smtp.port":          "587 for starttls, 465 for tls.",
	"notices.smtp.tls":           "starttls (refused without), tls (from the start) or none, for a relay on the same machine.",
	"notices.smtp.ca_file":       "Certificates to trust, PEM. Empty: the system's.",
	"notices.smtp.username":      "For authentication. Empty: none.",
	"notices.smtp.password":      "Better given as environment variable or through password_file. One of the two.",
	"notices.smtp.password_file": "A file that holds the password.",
	"notices.smtp.from":          "Who mails are from: hooks@example.com, or Acme <hooks@example.com>.",

	"log":        "Logs go to standard error.",
	"log.level":  "debug, info, warn or error.",
	"log.format": "text or json.",

	"tracing": "Traces with OpenTelemetry, from the producer's context through the router to each attempt. Only the router decides what is\n" +
		"traced. What does not stand here comes from OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME,\n" +
		"OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_… and so on, but not OTEL_TRACES_SAMPLER. OTEL_SDK_DISABLED=true turns it off.",
	"tracing.enabled":       "Off, tracing costs nothing.",
	"tracing.endpoint":      "The collector, which takes OTLP over HTTP: http://collector:4318. Empty: OTEL_EXPORTER_OTLP_ENDPOINT, or\nhttp://localhost:4318.",
	"tracing.ratio":         "How much is traced, from 0 to 1, where neither the producer nor the tenant's own ratio decides.",
	"tracing.follow_parent": "An event that comes with a trace context is traced if its producer's span is sampled, and only then.",
	"tracing.tenants":       "Tenants with ratios of their own, which hold whatever producers decided: [acme=1, app_2x…=0]. By uid or id.",

	"sources":                    "Where events come from, besides the topic `events` of Postrider's own (CloudEvents), which the router always\nreads and `postrider send` writes to. As environment variable: YAML.",
	"sources[].name":             "Source of mapped events, part of their identity: renaming it gives the same events new identities.",
	"sources[].topics":           "Topics to read, by name. Or pattern.",
	"sources[].pattern":          "Regular expression that matches whole topic names. Or topics.",
	"sources[].format":           "cloudevents (binary and structured, a record says which) or json (plain, read through mapping).",
	"sources[].tenant":           "Tenant of every event of this source. Empty: the events name it.",
	"sources[].tenant_extension": "CloudEvents attribute that names the tenant. Empty: tenant.",
	"sources[].mapping.id":       "Path of the event's id: member names joined by dots, a dot in a name written \\. . Empty: the source position.",
	"sources[].mapping.type":     "Path of the event type.",
	"sources[].mapping.tenant":   "Path of the tenant.",
	"sources[].mapping.time":     "Path of the time, RFC 3339. Empty: the record's timestamp.",
	"sources[].mapping.channels": "Path of the channels, a text or a list of texts. Empty: no channels.",
	"sources[].mapping.data":     "Path of what subscribers receive. Empty: the whole value.",

	"router":                "Expands events into deliveries.",
	"router.max_expansions": "Deliveries made between two commits of a source offset, at most: what a crash makes twice (with the same ids).",

	"router.operational_tenant": "Tenant (uid or id) whose subscriptions receive the operational events of all tenants (endpoint.disabled,\nmessage.attempt.exhausted …). Every tenant receives its own in subscriptions that name them. Empty: nobody else.",

	"deliverer":                     "Sends deliveries.",
	"deliverer.workers":             "Requests in flight at a time, per process.",
	"deliverer.max_in_flight_bytes": "Event data in memory, per process; every tenant has a share of it. At least 2MiB.",
	"deliverer.lane_queue":          "Deliveries of one subscription that wait in memory, at most an eighth of max_in_flight_bytes; more are diverted to the retry tiers.",
	"deliverer.lane_concurrency":    "Requests in flight to one endpoint at most; the adaptive limit stays below it, and fewer as workers become busy.",
	"deliverer.drain":               "How long requests in flight may take to end when a partition moves or the process stops.",
	"deliverer.window":              "Recent (delivery, trigger, pass) remembered per partition, to drop what a crash repeated.",
	"deliverer.breaker":             "When an endpoint is left alone, and how it is tried again.",
	"deliverer.breaker.failures":    "Failures in a row that open it.",
	"deliverer.breaker.open_for":    "How long it is open the first time; doubles while probes fail.",
	"deliverer.breaker.max_open":    "How long it is open at most.",
	"deliverer.breaker.probes":      "Deliveries that come due when it expires.",
	"deliverer.breaker.ramp_rate":   "Deliveries per second over which the rest of the backlog is spread.",

	"deliverer.outcomes":                  "What the records of attempts (topic outcomes) hold of endpoints' answers and URLs: keep or drop.",
	"deliverer.outcomes.response_body":    "The first KiB of a response. Subscriptions can drop theirs: redactResponses.",
	"deliverer.outcomes.response_headers": "At most 64 headers and 4 KiB, without the values of cookies, tokens and the like.",
	"deliverer.outcomes.url_query":        "The query of the endpoint's URL, which often holds a token.",

	"retrier":        "Moves records from the retry tiers back to deliveries when they are due.",
	"retrier.buffer": "Records that wait in memory at most (64 MiB of them are enough, too): those due within a second and, while half of it is not filled, up to half a minute. The others hop from tier to tier.",

	"recorder":                 "Fills the views in Redis, through which the API finds events and attempts. Other roles that use Redis need the same settings.",
	"recorder.event_retention": "How long events and attempts are found, by id and in lists: at most as long as their topics keep them. 1h to 720h. An\nevent takes about 150 bytes of Redis' memory, an attempt 30 and what its subscription has: see README.md.",

	"canary": "Events of a tenant of Postrider's own (uid postrider-canary), which every api process sends all the way to a receiver in\n" +
		"the api role: metrics tell how long that takes and when one last came through. The api and the deliverer need the same settings.",
	"canary.interval": "Time between two events of a process, 1s to 1h. 0s: off.",
	"canary.url": "Where deliverers reach api.listen, with the path /canary: http://postrider-api/canary. For the canary's subscription, and\n" +
		"for nothing else, this URL may be internal.",
	"canary.lost_after": "How long an event may take before it counts as lost, 10s to 24h.",

	"egress":                "What endpoints may be, and the connections to them.",
	"egress.allow_http":     "Permit http:// endpoints. For development.",
	"egress.allow_networks": "Networks that may be reached although they are private, special or denied: [10.0.0.0/8]. With one, internal names\n(localhost, names without a dot) may be endpoints too.",
	"egress.deny_networks":  "Networks that may not be reached although they are public, such as the cluster's own.",
	"egress.ports":          "Ports that endpoints may have besides 443, and 80 with allow_http.",
	"egress.any_port":       "Permit every port.",
	"egress.user_agent":     "User-Agent of requests, unless the profile has its own.",
	"egress.max_idle_conns": "Idle connections kept, least recently used closed first; about 10 KB each over TLS. As many more may be shared over HTTP/2.",
	"egress.http2": "When endpoints that have HTTP/2 are spoken to in it. busy: where many requests are under way at a time, which then share a\n" +
		"connection, and where an endpoint has nothing else; needed: only where it has nothing else; off: never, and such endpoints are not\n" +
		"reached. Names of headers are in lower case in HTTP/2.",

	"egress.proxy":               "Forward proxy through which all endpoints and token endpoints are reached. The environment's (HTTPS_PROXY) is\nnot used. It has to allow CONNECT to addresses, on all ports that endpoints may have: names are resolved here.",
	"egress.proxy.url":           "http://host:port or https://host:port. Empty: none. It may be internal.",
	"egress.proxy.username":      "For Basic authentication. Empty: none.",
	"egress.proxy.password":      "Better given as environment variable or through password_file. One of the two.",
	"egress.proxy.password_file": "A file that holds the password.",

	"encryption":             "How signing secrets, headers and credentials of subscriptions, and chat URLs of tenants, are kept in the registry. The deliverer, the API and the\ncommands that read or write secrets need a keyset; `postrider keys` makes and rotates it.",
	"encryption.keyset":      "The keyset, Tink's JSON. Better given as environment variable or through keyset_file. One of the two.",
	"encryption.keyset_file": "A file that holds the keyset.",

	"profiles_dir": "Directory of profiles besides the built-in ones. A file replaces the built-in profile of its name.",
}
