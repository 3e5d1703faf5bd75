package monitoring

import "fmt"

// tenants shows who is behind the figures. Every recorder shows the tenants that are most in the partitions that it reads, so that a
// sum over them may lack what a tenant has among the others of a recorder. A series has one value a minute; a subquery by the
// minute adds these.
func tenants() Dashboard {
	by := func(results string) string {
		return fmt.Sprintf(`sum by (tenant) (postrider_recorder_tenant_attempts{$scope%s})`, results)
	}
	const failure = `, result="failure"`
	hour := func(results string) string {
		return fmt.Sprintf(`topk(10, sum by (tenant) (sum_over_time(postrider_recorder_tenant_attempts{$scope%s, tenant!="(others)"}[1h:1m])))`, results)
	}
	return Dashboard{Name: "tenants", Title: "Postrider / Tenants", Rows: []Row{
		{"The last whole minute", []Panel{
			{Title: "Attempts a minute", Unit: "short", Query: lines(by(""), "{{tenant}}")},
			{Title: "Attempts that failed, a minute", Unit: "short", Query: lines(by(failure), "{{tenant}}")},
			{Title: "Failed of all of a tenant", Unit: "percentunit", Query: lines(by(failure)+" / "+by(""), "{{tenant}}")},
		}},
		{"The last hour", []Panel{
			{Title: "Most attempts", Unit: "short", Query: lines(hour(""), "{{tenant}}")},
			{Title: "Most that failed", Unit: "short", Query: lines(hour(failure), "{{tenant}}")},
			{Title: "Recorded a second, of all", Unit: "reqps", Query: lines(`sum(rate(postrider_recorder_outcomes_total{$scope}[$__rate_interval]))`, "rows")},
		}},
	}}
}
