# The only place where commands live. `make` lists them; `make demo` and `make test` do all the
# set-up that they need, on a machine with Rust, Python, a C compiler and make.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One cargo at a time: two would wait for each other's lock on the target folder.
.NOTPARALLEL:

# One target folder for cargo and maturin, so that nothing is built twice because of its place.
export CARGO_TARGET_DIR := $(CURDIR)/target
PYTHON ?= $(shell scripts/preflight --python)
VENV := $(CURDIR)/.venv
# Both what builds the extension module and what lints it must see the same Python, or cargo builds
# pyo3 anew at every change of target.
export PYO3_PYTHON := $(VENV)/bin/python
export VIRTUAL_ENV := $(VENV)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What tests with processes of several languages run.
export LEASEHOLD_PYTHON := $(VENV)/bin/python
export LEASEHOLD_CLI := $(CARGO_TARGET_DIR)/debug/leasehold
# Where tests find the real servers that `servers` fetched.
export LEASEHOLD_SERVERS := $(CURDIR)/.cache/servers
# Where they find the locks of others that `peers` made.
export LEASEHOLD_PEERS := $(CURDIR)/.cache/peers
# What Maven fetches stays with the rest, not in the home folder.
MAVEN := kotlin/scripts/maven $(CURDIR)/.cache/maven
# A store that the caller's shell names must not be what a test locks.
unexport LEASEHOLD_URL

# The extension module links against no libpython, so cargo can't make tests of it: maturin builds
# it and pytest tests it.
RUST := --workspace --exclude leasehold-python
SUITE := scripts/suite
# Where the runners of the scenarios say what they have played.
PLAYED := $(CARGO_TARGET_DIR)/scenarios
SCRIPTS := scripts/mutants scripts/mutants-lock scripts/peers scripts/porcupine scripts/preflight scripts/servers scripts/suite scripts/wasm32 kotlin/scripts/bench kotlin/scripts/maven kotlin/scripts/place .ci/run $(wildcard examples/*.sh testkit/contenders/*.sh)

##@ To begin with

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build-demo python build-node ## All languages that are built contend for one lock; one is killed, one is paused
	@$(CARGO_TARGET_DIR)/debug/demo

.PHONY: test
test: ## Build, run every test and the demo, and show what each suite cost
	@rm -rf $(PLAYED)
	@$(SUITE) begin
	@code=0; $(MAKE) --no-print-directory -k servers peers test-build test-rust test-simulate test-porcupine test-python test-node test-kotlin test-scenarios test-demo || code=$$?; \
	  $(SUITE) end || code=$$?; exit $$code

.PHONY: check
check: ## Format, lints, types, documentation, each feature alone, WebAssembly
	@$(SUITE) begin
	@code=0; $(MAKE) --no-print-directory -k check-format check-lints check-features check-docs \
	  check-wasm32 check-types check-node check-scripts || code=$$?; \
	  $(SUITE) end || code=$$?; exit $$code

.PHONY: fix
fix: preflight-check $(VENV)/ready ## Format, and apply what the lints suggest
	cargo fmt --all
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

.PHONY: bench
bench: ## Measure against the physical limit and other libraries, in every language that is here (release build)
	@$(MAKE) --no-print-directory bench-core
	@for face in node kotlin; do if scripts/preflight --$$face; then $(MAKE) --no-print-directory bench-$$face ARGS=; fi; done
	@$(MAKE) --no-print-directory bench-faces

.PHONY: bench-core
bench-core: preflight servers $(VENV)/bench ## The part of Rust and Python (ARGS=--quick)
	$(VENV)/bin/maturin develop --release --quiet --manifest-path python/Cargo.toml
	cargo run --release -p leasehold-bench -- --png $(CARGO_TARGET_DIR)/bench.png $(ARGS)

.PHONY: bench-node
bench-node: preflight servers peers build-node ## Measure the Node package beside other libraries, on one Redis (release build)
	cargo build -p leasehold-testkit --bin redis
	cargo build --release -p leasehold-node
	node node/scripts/place.mjs $(CARGO_TARGET_DIR)/release
	node node/bench/bench.mjs $(ARGS)

.PHONY: bench-kotlin
bench-kotlin: preflight servers peers build-kotlin ## Measure the Kotlin package beside Redisson, on one Redis (release build)
	cargo build -p leasehold-testkit --bin redis
	cargo build --release -p leasehold-kotlin -p leasehold-kotlin-bindgen
	kotlin/scripts/place $(CARGO_TARGET_DIR)/release
	$(MAVEN) --quiet process-resources
	kotlin/scripts/bench $(CARGO_TARGET_DIR) $(LEASEHOLD_PEERS) $(ARGS)

.PHONY: bench-faces
bench-faces: preflight $(VENV)/ready servers build-node build-kotlin ## Measure hand-offs between languages beside Rust to Rust (release build)
	$(VENV)/bin/maturin develop --release --quiet --manifest-path python/Cargo.toml
	cargo build --release -p leasehold-node -p leasehold-kotlin -p leasehold-kotlin-bindgen
	if scripts/preflight --node; then node node/scripts/place.mjs $(CARGO_TARGET_DIR)/release; fi
	if scripts/preflight --kotlin; then kotlin/scripts/place $(CARGO_TARGET_DIR)/release && $(MAVEN) --quiet process-resources; fi
	cargo bench -p leasehold-testkit --bench handoffs

.PHONY: simulate
simulate: preflight ## Run 100,000 simulated schedules of Redis under faults (ARGS="--schedules 1000")
	cargo run --release -p leasehold-testkit --bin simulate -- --schedules 100000 --jobs 2 $(ARGS)

.PHONY: rules
rules: preflight ## Hold 100,000 random histories of each kind on each store to the rules (PROPTEST_CASES=2000)
	PROPTEST_CASES=$${PROPTEST_CASES:-100000} cargo test --release -p leasehold --test rules -- --show-output $(ARGS)

.PHONY: full
full: preflight servers ## Run at full size the tests of which `make test` does a share (half an hour)
	LEASEHOLD_FULL=1 cargo test --release -p leasehold --test names --test kinds_real --test cycles --test many -- --show-output
	LEASEHOLD_FULL=1 cargo test --release -p leasehold --test faults -- --show-output cycles::

.PHONY: docs
docs: preflight ## Build the Rust documentation into target/doc
	cargo doc --workspace --exclude leasehold-python --exclude leasehold-node --exclude leasehold-kotlin --no-deps --lib
	@echo "$(CARGO_TARGET_DIR)/doc/leasehold/index.html"

.PHONY: clean
clean: ## Remove what was built, and the virtual environment
	rm -rf $(CARGO_TARGET_DIR) $(VENV) .cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf node/node_modules node/dist node/build node/binaries
	rm -rf kotlin/target kotlin/generated kotlin/binaries
	rm -rf python/.pytest_cache python/.mypy_cache python/leasehold/*.so

##@ Parts of the above

.PHONY: preflight preflight-check
preflight: ## Say which tools are missing, if any
	@scripts/preflight
preflight-check:
	@scripts/preflight --check

.PHONY: build
build: preflight ## Build the Rust libraries and programs (dev profile)
	cargo build $(RUST) --all-targets

# Only what the demo runs: a newcomer should not wait for the tests to be built.
.PHONY: build-demo
build-demo: preflight
	cargo build -p leasehold-cli -p leasehold-examples -p leasehold-testkit --bins

.PHONY: python
python: preflight $(VENV)/ready ## Build the Python package into the virtual environment
	$(VENV)/bin/maturin develop --quiet --manifest-path python/Cargo.toml

$(VENV)/ready: python/requirements-dev.txt
	@scripts/preflight
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --requirement python/requirements-dev.txt
	@touch $@

$(VENV)/bench: $(VENV)/ready bench/requirements.txt
	$(VENV)/bin/python -m pip install --quiet --requirement bench/requirements.txt
	@touch $@

# Where there is no Node, its package is left out, and said to be.
.PHONY: build-node
build-node: preflight ## Build the Node package, its native half included, where Node is
	@if scripts/preflight --node; then \
	  cargo build -p leasehold-node && node node/scripts/place.mjs $(CARGO_TARGET_DIR)/debug && \
	  $(MAKE) --no-print-directory node/node_modules/ready && npm run --silent --prefix node build; \
	fi

node/node_modules/ready: node/package-lock.json
	npm ci --prefix node --ignore-scripts --no-audit --no-fund
	@touch $@

# Where there is no Java or no Maven, or Maven can't fetch, its package is left out, and said to be.
.PHONY: kotlin build-kotlin
kotlin: build-kotlin test-kotlin ## Build and test the Kotlin package, where Java and Maven are
build-kotlin: preflight
	@if scripts/preflight --kotlin; then \
	  cargo build -p leasehold-kotlin -p leasehold-kotlin-bindgen && \
	  kotlin/scripts/place $(CARGO_TARGET_DIR)/debug && \
	  { $(MAVEN) --quiet install dependency:build-classpath -DskipTests \
	    -DincludeScope=runtime -Dmdep.outputFile=target/classpath || [ $$? = 2 ]; }; \
	fi

# The suites of `make test` and the steps of `make check`: each is one row of the ledger.

# Where one can't be had, its tests are ignored, unless REQUIRE names it. The ledger has a row for
# each.
SERVERS := redis valkey redis8 valkey9 postgresql mariadb
.PHONY: servers
servers: ## Fetch the real servers that tests run against
	@code=0; for server in $(SERVERS); do \
	  $(SUITE) run $$server --absent 2 -- scripts/servers $(LEASEHOLD_SERVERS) $$server || code=$$?; \
	done; exit $$code

.PHONY: peers
peers: ## Fetch and build the locks of others that tests run against
	@$(SUITE) run peers --absent 2 -- scripts/peers $(LEASEHOLD_PEERS) python node go rust jvm

.PHONY: test-build
test-build: preflight $(VENV)/ready
	@$(SUITE) run build -- $(MAKE) --no-print-directory build python build-node build-kotlin

.PHONY: test-rust
test-rust: servers peers test-build ## Test the Rust crates, the command and the examples
	@$(SUITE) run rust -- cargo test $(RUST) --no-fail-fast -- --show-output

# A share of the full run (`make simulate`), with the same seeds each time.
.PHONY: test-simulate
test-simulate: test-build
	@$(SUITE) run simulate -- $(CARGO_TARGET_DIR)/debug/simulate --schedules 40 --seed 1 --jobs 2

# After the tests that write the histories.
.PHONY: test-porcupine
test-porcupine: test-rust
	@$(SUITE) run porcupine --absent 2 -- scripts/porcupine .cache/porcupine $(CARGO_TARGET_DIR)/histories

.PHONY: test-python
test-python: servers test-build ## Test the Python package
	@$(SUITE) run python -- $(VENV)/bin/python -m pytest python

.PHONY: test-node
test-node: servers test-build ## Test the Node package
	@if why=$$(scripts/preflight --node); then \
	  $(SUITE) run node -- bash -c 'npm run --silent --prefix node build-tests && node node/test/run.mjs'; \
	else $(SUITE) absent node "$$why"; fi

.PHONY: test-kotlin
test-kotlin: servers test-build ## Test the Kotlin package
	@if why=$$(scripts/preflight --kotlin); then \
	  $(SUITE) run kotlin --absent 2 -- $(MAVEN) test; \
	else $(SUITE) absent kotlin "$$why"; fi

# After the runs that it is held to.
.PHONY: test-scenarios
test-scenarios:
	@$(SUITE) run scenarios --absent 2 -- $(PYTHON) scripts/scenarios check $(PLAYED)

.PHONY: scenarios
scenarios: servers test-build ## Play the scenarios in all languages, and write the tables into FEATURES.md
	cargo test -p leasehold --test contract
	cargo test -p leasehold-bridge --test scenarios
	$(VENV)/bin/python -m pytest --quiet python/tests/test_scenarios.py
	npm run --silent --prefix node build-tests && node node/test/run.mjs scenarios
	$(MAVEN) test -Dtest=ScenariosTest
	$(PYTHON) scripts/scenarios write $(PLAYED)

.PHONY: test-demo
test-demo: test-build
	@$(SUITE) run demo -- $(CARGO_TARGET_DIR)/debug/demo

.PHONY: mutants
mutants: servers ## Plant known bugs of other locks in ours, one by one; a test must find each
	@$(SUITE) run mutants -- scripts/mutants $(ARGS)

.PHONY: mutants-lock
mutants-lock: preflight ## Change the rules of a lock, one place at a time; a test must notice (ARGS="--re 'in admits'")
	@$(SUITE) run mutants-lock --absent 2 -- scripts/mutants-lock $(ARGS)

.PHONY: check-format
check-format: preflight-check
	@$(SUITE) run format -- cargo fmt --all --check

.PHONY: check-lints
check-lints: preflight-check $(VENV)/ready
	@$(SUITE) run lints -- cargo clippy --workspace --all-targets -- -D warnings

# On a WebAssembly host nothing is Send; check-lints looks after that lint everywhere else.
.PHONY: check-features
check-features: preflight-check
	@$(SUITE) run features -- bash -c 'for feature in native sqlite manager wasm; do (set -x; \
	  cargo clippy -p leasehold --lib --no-default-features --features $$feature -- \
	  -D warnings -A clippy::arc_with_non_send_sync) || exit; done'

.PHONY: check-docs
check-docs: preflight-check
	@RUSTDOCFLAGS="-D warnings" $(SUITE) run docs -- \
	  cargo doc --workspace --exclude leasehold-python --exclude leasehold-node --exclude leasehold-kotlin --no-deps --lib

.PHONY: check-wasm32
check-wasm32: preflight-check
	@$(SUITE) run wasm32 --absent 2 -- scripts/wasm32 .cache/wasm32 \
	  -p leasehold --lib --no-default-features --features wasm

.PHONY: check-types
check-types: preflight-check python
	@$(SUITE) run types -- bash -c 'cd python && $(VENV)/bin/mypy --strict . && \
	  $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && \
	  $(VENV)/bin/stubtest leasehold && cd .. && $(VENV)/bin/mypy --strict examples && \
	  $(VENV)/bin/mypy --strict scripts/scenarios && \
	  $(VENV)/bin/ruff check --config python/pyproject.toml scripts/scenarios'

.PHONY: check-node
check-node: preflight-check build-node
	@if why=$$(scripts/preflight --node); then \
	  $(SUITE) run node-types -- npm run --silent --prefix node check; \
	else $(SUITE) absent node-types "$$why"; fi

.PHONY: check-scripts
check-scripts:
	@if command -v shellcheck >/dev/null; then $(SUITE) run shellcheck -- shellcheck $(SCRIPTS); \
	  else $(SUITE) absent shellcheck "shellcheck is not here"; fi
