# Everything one can do here. Set-up stays inside this folder: .venv, node_modules, target.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv/bin
BUILD := .build
export PATH := $(CURDIR)/$(VENV):$(PATH)
export WARRENMQ_BIN := $(CURDIR)/target/release/warrenmq

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# --- set-up ---

$(BUILD)/venv: tests/requirements.txt bindings-python/requirements-dev.txt examples/requirements.txt
	@test -x $(VENV)/python || $(PYTHON) -m venv .venv
	$(VENV)/python -m pip install -q --upgrade pip
	$(VENV)/python -m pip install -q $(addprefix -r ,$^)
	@mkdir -p $(BUILD) && touch $@

bindings-node/node_modules: bindings-node/package-lock.json
	npm install --prefix bindings-node --no-save --no-audit --no-fund --loglevel=error
	@touch $@

# node-calls-python puts the system's Python into Node, and must not find another's python3-config.
tests/node_modules: tests/package-lock.json
	PATH="/usr/bin:$$PATH" npm install --prefix tests --no-save --no-audit --no-fund --loglevel=error
	@touch $@

examples/node_modules: examples/package-lock.json
	npm install --prefix examples --no-save --no-audit --no-fund --loglevel=error
	@touch $@

# npm ci would want every platform's optional packages in the lock files, also those that a registry does not carry.

# --- build ---

.PHONY: build build-rust build-python build-node
build: build-rust build-python build-node ## Build the broker and both modules (release)

build-rust:
	cargo build --release --locked -p warrenmq

build-python: $(BUILD)/venv
	cd bindings-python && maturin develop --release --locked --quiet

build-node: bindings-node/node_modules
	npm run --silent build --prefix bindings-node

# --- run ---

.PHONY: demo examples
demo: build-python build-node examples/node_modules ## Count words: Node sends, Python workers count; FILES="a.txt b.txt" chooses the files
	@node examples/demo/demo.mjs $(FILES)

examples: build examples/node_modules ## Run every example and check what it shows
	python examples/check.py

# --- test ---

.PHONY: test test-rust test-python test-node test-suites
test: test-rust test-python test-node test-suites examples ## Run every test in every language
	@echo "all tests passed"

test-rust: build-rust
	cargo test --locked

test-python: build-python
	cd bindings-python && python -m pytest -q

test-node: build-node
	npm test --prefix bindings-node

test-suites: build tests/node_modules
	cd tests && python -m pytest -q -rs

KILLS ?= 500
BROKER ?= warrenmq
.PHONY: crash
crash: build-rust $(BUILD)/venv ## Kill a broker under load, again and again, and count; KILLS=500 SEED=1 BROKER=warrenmq
	cd tests && python -m crash --broker $(BROKER) --kills $(KILLS) $(if $(SEED),--seed $(SEED)) $(CRASH)

ROUNDS ?= 300
.PHONY: failover
failover: build-python build-node tests/node_modules ## Kill, stop and restart processes that share a directory; ROUNDS=300 SEED=1
	cd tests && python -m failover --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED)) $(FAILOVER)

# --- look after ---

.PHONY: lint bench leaks fuzz fuzz-methods clean
lint: build-python build-node ## Check formats, lints, types and stubs
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	ruff format --check bindings-python tests examples && ruff check bindings-python tests examples
	cd bindings-python && mypy && stubtest warrenmq._native
	npm run --silent lint --prefix bindings-node

bench: build tests/node_modules ## Measure against RabbitMQ, where it is installed, in the same run
	cargo build --release --locked -p warrenmq-bench
	target/release/warrenmq-bench $(BENCH) \
	    --also '$(VENV)/python bindings-python/bench/inproc.py' \
	    --also 'node bindings-node/bench/inproc.mjs' \
	    --also 'node tests/twins/bench.mjs'
	cd tests && python -m bench.languages $(LANGUAGES)

leaks: ## Look for memory that is never given back, in a host and in an attached process (needs valgrind)
	cargo build --locked -p warrenmq --example leaks
	valgrind --trace-children=yes --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	    --error-exitcode=1 target/debug/examples/leaks

fuzz: ## Fuzz the codec for five minutes (needs a nightly toolchain and cargo-fuzz)
	cd core && cargo +nightly fuzz run codec -- -max_total_time=300

SECONDS ?= 300
fuzz-methods: ## Play random sequences of methods against a broker; SECONDS=1800 for half an hour, WARRENMQ_FUZZ_SEED=N for one
	WARRENMQ_FUZZ_SECONDS=$$(($(SECONDS) / 2)) cargo test --locked -p warrenmq --test methods -- --nocapture

clean: ## Remove everything that was built or installed here
	rm -rf target $(BUILD) .venv bindings-node/node_modules tests/node_modules examples/node_modules
	rm -rf bindings-node/dist bindings-python/python/warrenmq/*.so
