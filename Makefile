# Every target runs on a machine with Go; those that need a broker also want Java
# 17 and Maven or Docker, see test/kafkatest.

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .bin/golangci-lint-$(GOLANGCI_VERSION)

# The time that go test gives one package: most take seconds, on a busy machine
# some take many minutes.
TIMEOUT := 60m

# The packages whose tests need a real Kafka or Redis. They run apart, one by one:
# brokers that start beside each other and beside compilers only take longer.
BROKERS := $(wildcard test/broker test/clients test/alerts test/kafkatest test/redistest)

# Those of them that start, kill or pause brokers and servers of their own: they are
# of make verify, as every test is that needs more than what it finds running.
OUTAGES := SurvivesABroker|WhileTheBrokerIsAway|OverTLSAndSASL|OverARestart|OfThree|RightPassword|DoesNotStart|IsKilled|RedisCluster|ComesBackEmpty|ThatIsPaused|AlertsFire

BROKER_TESTS = go run ./test/provide -- go test -p 1 -race -shuffle=on -vet=off -count=1 -timeout $(TIMEOUT)

MODULE := github.com/postrider/postrider

.DEFAULT_GOAL := help
.PHONY: help run build image test test-kit test-brokers test-containers verify-image lint bench microbench verify generate

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## All roles in one process, with an embedded broker
	go run ./cmd/postrider dev

build: ## The binary, in bin/postrider
	CGO_ENABLED=0 go build -trimpath -o bin/postrider ./cmd/postrider

# ARCH=arm64 builds that of another processor.
image: ## The container image, in bin/postrider-linux-ARCH.tar, and its bill of materials
	go run -C deploy/image . -o $(CURDIR)/bin $(ARCH:%=-arch=%)

# In random order, see test/suite: a second run tests what has changed since the
# first. Without the checks of go vet, which are golangci-lint's. What takes longest
# comes first.
test: ## All tests but those of verify, with a real Kafka and Redis
	go test -race -vet=off -timeout $(TIMEOUT) ./test/conformance ./test/flow $$(go list ./... | grep -v -x -F $(BROKERS:%=-e $(MODULE)/%))
	$(MAKE) test-kit test-brokers

# Modules of their own: what they need is for nothing else. What they test is outside of them, where the go command does not see
# that it has changed.
test-kit: ## Only the tests of the Helm chart and of the image
	go test -C test/chart -vet=off -count=1 -timeout $(TIMEOUT) ./...
	go test -C deploy/image -vet=off -count=1 -timeout $(TIMEOUT) ./...

test-brokers: ## Only the tests that need a real Kafka or Redis
	$(BROKER_TESTS) -skip '$(OUTAGES)' $(BROKERS:%=./%)

# Images built from this machine, so that nothing has to be pulled; that is also
# why testcontainers goes without its reaper, which is an image.
test-containers: export POSTRIDER_TEST_PROVIDER := docker
test-containers: export POSTRIDER_TEST_KAFKA_IMAGE := postrider-test/kafka:local
test-containers: export POSTRIDER_TEST_REDIS_IMAGE := postrider-test/redis:local
test-containers: ## test-brokers in containers of images built here, Postrider's own among them
	test/images/engine.sh sh -c 'test/images/build.sh && test/images/postrider.sh && $(MAKE) test-brokers'

test-containers verify-image: export TESTCONTAINERS_RYUK_DISABLED := true
test-containers verify-image: export POSTRIDER_TEST_IMAGE := postrider:local
verify-image: ## Only the test of Postrider's image as containers, one for each role; it needs a Docker engine
	test/images/engine.sh sh -c "test/images/postrider.sh && $(BROKER_TESTS) -run ImageRunsEveryRole ./test/broker"

lint: $(GOLANGCI) ## golangci-lint, go vet's checks among it
	$(GOLANGCI) run
	cd test/chart && $(CURDIR)/$(GOLANGCI) run
	cd deploy/image && $(CURDIR)/$(GOLANGCI) run

$(GOLANGCI):
	GOBIN=$(CURDIR)/.bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv .bin/golangci-lint $@

bench: ## What a delivery costs and how well deliveries are kept apart, five minutes
	go run ./test/bench

microbench: ## The benchmarks of the packages
	go test -run '^$$' -bench . ./...

# The first line's are days of virtual time, too long under the race detector.
verify: ## What takes longer: outages, kills under load, figures
	go test -count=1 -vet=off -timeout $(TIMEOUT) -run 'TestLadder|TestHistories' ./test/flow ./test/conformance
	$(BROKER_TESTS) -run '$(OUTAGES)' $(BROKERS:%=./%)
	$(MAKE) verify-image
	go run ./test/verify

generate: ## What is generated from the code
	go generate ./...
