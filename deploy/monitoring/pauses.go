package monitoring

// pauseAlerts are about what operators have stopped: those that speak of what comes of it are quiet meanwhile, and somebody may
// have forgotten it.
func pauseAlerts() []Alert {
	return []Alert{
		{
			Name: "PostriderEgressStopped", Severity: Warning, For: "15m",
			Expr:    `max(postrider_registry_pauses{scope="egress"}) > 0`,
			Summary: "An operator has stopped everything that leaves",
			Means:   "that nothing is sent to anybody: all deliveries and retries wait in Kafka. *PostriderDeliveriesLate* and *PostriderDeliveriesBehind* and those of the canary are quiet until it is started again. **What waits for longer than the topics keep it is lost**: 9 days of deliveries, 10 of retries.",
			See:     "`postrider pause list`: who did it, since when and why. `postrider status` says what waits.",
			Do:      "`postrider egress start` when the reason is gone. What has waited goes out as fast as endpoints take it.",
		},
		{
			Name: "PostriderRolePaused", Severity: Warning, For: "30m",
			Expr:    `max by (paused_role) (postrider_registry_pauses{scope="role"}) > 0`,
			Summary: "An operator has paused the role {{ $labels.paused_role }}",
			Means:   "that the role reads nothing: what it should do waits in Kafka. The alerts about what comes of it are quiet until it is resumed: *PostriderSourcesBehind* for routers, *PostriderDeliveriesLate* and *PostriderDeliveriesBehind* for deliverers, those of the canary for both. **What waits for longer than its topic keeps it is lost.**",
			See:     "`postrider pause list`: who did it, since when and why. `postrider drain` pauses roles as well. `postrider status` says what waits.",
			Do:      "`postrider resume role`, with the role's name, when the reason is gone.",
		},
	}
}
