// Package alerts brings a running Postrider into the condition of every alert of deploy/monitoring and sees it fire: the roles
// are processes on a real Apache Kafka and Redis, a Prometheus of Debian's scrapes them and evaluates the rules. Before, the alert
// has to be quiet, under rules that were evaluated on what the roles show.
//
// The rules are those that are generated, but for their time: every window and every "for" is a thirtieth of what it is there, so
// that an hour is two minutes. Conditions and thresholds stay; see [faster].
package alerts
