// Package kafkatest runs real Apache Kafka for tests: KRaft nodes on 127.0.0.1
// that are broker and controller in one, as local processes or as containers.
//
// [Start] gives a test a cluster of its own, whose brokers it may kill, stop,
// pause and restart. [Shared] gives the address of one broker that all tests
// share; such a test keeps to topics and groups of its own. [Launch] is the same
// outside of tests.
//
// The environment decides how Kafka is provided:
//
//	POSTRIDER_TEST_KAFKA        addresses for Shared, comma separated; nothing is started
//	POSTRIDER_TEST_PROVIDER     process or docker; empty: docker if it can, else process
//	POSTRIDER_TEST_KAFKA_IMAGE  image for docker; empty: the official one of [Version]
//
// A process needs Java 17 and, once, Maven, which fetches the broker's jars into
// the user's cache directory. Both are installed if they are missing, the user is
// root and the system has apt-get. A container uses the network of the machine,
// so docker means an engine on this Linux machine.
package kafkatest
