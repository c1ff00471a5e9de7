# Tacit. `make` lists what can be made.

# Tests with independent programs run where this is set; `make test` sets it.
PEERS := TACIT_PEERS=1
TOOL  := go tool -modfile=tools/go.mod
FUZZ  ?= 20s
COUNT ?= 10

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## the server on loopback, with throw-away users: SIP on 127.0.0.1:5060 and 5061
	go run ./cmd/tacit localserve

.PHONY: build
build: ## the program, as ./tacit
	go build -trimpath -o tacit ./cmd/tacit

.PHONY: test-deps
test-deps: # the programs that the tests run against, installed from Debian if they lack
	@scripts/test-deps

.PHONY: test
test: test-deps ## everything, with the race detector and independent peers
	$(PEERS) go test -race -shuffle=on ./...

.PHONY: race
race: ## the same without peers
	go test -race -shuffle=on ./...

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZ (20s)
	scripts/fuzz $(FUZZ)

.PHONY: fmt
fmt: ## fail on files that gofmt would change
	@files=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$files" ]; then echo "run gofmt -w on:"; echo "$$files"; exit 1; fi

.PHONY: vet
vet: ## go vet
	go vet ./...

.PHONY: lint
lint: fmt vet ## formatting, go vet and staticcheck
	$(TOOL) staticcheck ./...

.PHONY: vuln
vuln: ## known vulnerabilities; skipped, aloud, where the database is out of reach
	@scripts/vuln

.PHONY: layers
layers: ## who may import whom, and which modules
	go test -count=1 .

.PHONY: rfc
rfc: ## each RFC named in the code is in rfc/index.tsv
	go run ./rfc

.PHONY: gen
gen: ## docs/conformance.md
	go run ./rfc -write

.PHONY: docs
docs: gen ## all generated documents
	go run ./cmd/tacit docs config > docs/config.md.new && mv docs/config.md.new docs/config.md
	go run ./cmd/tacit docs cli > docs/cli.md.new && mv docs/cli.md.new docs/cli.md

.PHONY: bench
bench: ## Tacit and Kamailio side by side, without and with rules, into docs/performance.md
	bench/run

# The tests come last, so that their own summary is the end of what is printed;
# the last step is quiet unless a test or generator has changed a file.
.PHONY: check
check: ## what CI runs
	$(MAKE) --no-print-directory fmt vet layers docs
	git diff --exit-code
	$(MAKE) --no-print-directory test
	@git diff --exit-code
