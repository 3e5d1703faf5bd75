// Package broker holds the tests that only a real Apache Kafka can answer: what the embedded broker of the other tests
// accepts without looking.
package broker
