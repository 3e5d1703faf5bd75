# Every target runs on a machine with Go; those that need a broker also want Java
# 17 and Maven or Docker, see test/kafkatest.

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .bin/golangci-lint-$(GOLANGCI_VERSION)

# The time that go test gives one package.
TIMEOUT := 14m

.DEFAULT_GOAL := help
.PHONY: help run build test test-brokers test-containers lint bench verify generate

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## All roles in one process, with an embedded broker
	go run ./cmd/postrider dev

build: ## The binary, in bin/postrider
	CGO_ENABLED=0 go build -trimpath -o bin/postrider ./cmd/postrider

test: ## All tests, with a real Kafka and Redis
	go run ./test/provide -- go test -race -shuffle=on -timeout $(TIMEOUT) ./...
	go test -count=1 -timeout $(TIMEOUT) -run TestLadder ./test/flow # 28 virtual hours, too long under the race detector

test-brokers: ## Only the tests that need a real Kafka or Redis
	go run ./test/provide -- go test -race -shuffle=on -count=1 -timeout $(TIMEOUT) \
		$(patsubst %,./%/...,$(wildcard test/broker test/kafkatest test/redistest))

# Images built from this machine, so that nothing has to be pulled; that is also
# why testcontainers goes without its reaper, which is an image.
test-containers: export POSTRIDER_TEST_PROVIDER := docker
test-containers: export POSTRIDER_TEST_KAFKA_IMAGE := postrider-test/kafka:local
test-containers: export POSTRIDER_TEST_REDIS_IMAGE := postrider-test/redis:local
test-containers: export TESTCONTAINERS_RYUK_DISABLED := true
test-containers: ## test-brokers in containers of images built here
	test/images/engine.sh sh -c 'test/images/build.sh && $(MAKE) test-brokers'

lint: $(GOLANGCI) ## golangci-lint and go vet
	$(GOLANGCI) run
	go vet ./...

$(GOLANGCI):
	GOBIN=$(CURDIR)/.bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv .bin/golangci-lint $@

bench: ## All benchmarks
	go test -run '^$$' -bench . ./...

verify: ## The pipeline as a whole against a real Kafka and Redis
	go run ./test/provide -- go run ./test/verify

generate: ## What is generated from the code
	go generate ./...
