# Swingbridge. `make` alone lists what there is.
SHELL := /bin/bash -euo pipefail
.DEFAULT_GOAL := help
TAGS := nobadger,nomysql,nopgx,grpcnotrace
# Matching by expressions, which comes with Caddy, and the builder's messages are large and never hot: not inlined they
# take a megabyte less.
COLD := -gcflags=cel.dev/...=-l -gcflags=github.com/moby/buildkit/...=-l
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
# SQLite's code is C in Go's clothes: half of the time of its tests went into the compiler's checks of its pointers.
RACE := -race -gcflags=modernc.org/...=-d=checkptr=0
LINT := .cache/golangci-lint-v2.12.0
export GOFLAGS := -tags=$(TAGS)
export TESTCONTAINERS_RYUK_DISABLED := true
export TESTCONTAINERS_HOST_OVERRIDE := 127.0.0.1

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/swingbridge, static
	CGO_ENABLED=0 go build -trimpath $(COLD) -ldflags '$(LDFLAGS)' -o bin/swingbridge ./cmd/swingbridge

.PHONY: demo
demo: need build ## the main job on this machine: a good push, a broken push, traffic all along
	bin/swingbridge demo

.PHONY: test
test: need build lint ## everything: vet, lint, all tests with the race detector
	go mod tidy -diff
	go vet ./...
	go test $(RACE) -count=1 -timeout 45m ./...

.PHONY: race
race: ## unit tests of the core, repeated, with the race detector
	go test $(RACE) -count=5 ./pipeline ./pipeline/stack ./server/queue ./server/logs ./server/events ./webhook

.PHONY: e2e
e2e: need build ## the end-to-end tests alone
	go test $(RACE) -count=1 -timeout 45m -v ./cmd/...

.PHONY: golden
golden: ## write the golden files anew; read the diff before you commit it
	go test ./pipeline/stack ./server/web ./cmd/swingbridge -run Golden -update

.PHONY: lint
lint: $(LINT) ## gofmt, golangci-lint with the house's import rules
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(LINT) run ./...

$(LINT):
	@mkdir -p .cache
	GOFLAGS= GOBIN=$(CURDIR)/.cache go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.0
	@mv .cache/golangci-lint $@

.PHONY: need
need: ## install what building and testing need on Debian (apt), and start an engine if none answers
	@.ci/need

.PHONY: bench
bench: need build ## the published figures, as ratios within one run
	.ci/engine .ci/bench

.PHONY: bench-cutover
bench-cutover: build ## what visitors see of a thousand cutovers, of kills and of a reload of Caddy
	.ci/bench-cutover

.PHONY: clean
clean: ## remove what building made, and what tests left on the engine
	rm -rf bin .cache
	@docker ps -aq --filter label=dev.swingbridge.test | xargs -r docker rm -f
