# jmeter-webrtc: build, demo and tests. `make help` lists the targets.
# Everything that is built lands under target/ and the target/ folders of the Maven modules.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
# Where rustup puts cargo: a freshly installed one is found within the same run.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# Directory name of this platform inside the jar (see the native loader).
PLATFORM := linux-$(shell uname -m)

# Cargo's profile: release for what is run and measured, dev for what `make test` proves: it checks debug assertions and overflows,
# and is built in a fraction of the time.
PROFILE ?= release
BUILT := target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# Libraries, jars and JMETER_HOME of another profile than release live apart: what a user takes from target/ is always optimised.
KEPT := target$(if $(filter-out release,$(PROFILE)),/$(PROFILE))
MAVEN := mvn --batch-mode --no-transfer-progress --quiet -Dstyle.color=never -Dbuild.folder=$(KEPT)
RESOURCES := $(KEPT)/native-resources
NATIVE := $(RESOURCES)/native/$(PLATFORM)/libjmeter_webrtc.so
# What the Java tests load: it has natives that only they call. Built unoptimised, with the crates of `cargo test`.
TEST_NATIVE := target/native-tests/libjmeter_webrtc.so
# The plans of `make test` run with the same one: one build instead of two.
NATIVE_FEATURES := $(if $(filter dev,$(PROFILE)),--features test-natives)
NOTICES := $(RESOURCES)/META-INF/THIRD-PARTY-NOTICES.txt
LAB := $(BUILT)/webrtc-lab
JAR := jmeter-plugin/$(KEPT)/jmeter-webrtc-$(VERSION).jar
DROPIN_JAR := jmeter-dropin/$(KEPT)/jmeter-webrtc-dropin-$(VERSION).jar
JMETER_HOME := $(KEPT)/jmeter
JMETER_STAMP := $(JMETER_HOME)/.assembled
INSTALLED_JAR := $(JMETER_HOME)/lib/ext/jmeter-webrtc-$(VERSION).jar
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := target/tools/bin/cargo-deny

JAVA_SOURCES = $(shell find pom.xml java jmeter-plugin jmeter-dropin profiles -name target -prune -o -type f -print)
PYTHON_SOURCES = $(shell git ls-files '*.py')
SHELL_SCRIPTS = .ci/run scripts/install-tools scripts/jmeter-home/jmeter

# `make demo` takes these; RAMP is worked out from SOFTPHONES unless given.
SOFTPHONES ?= 200
HOLD ?= 20
RAMP ?=

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo SOFTPHONES=500 HOLD=60 RAMP=20    another size (softphones, seconds, seconds)"
	@echo "  INSTALL=no                                  never install a missing tool, only name it"

.PHONY: tools
tools:
	@scripts/install-tools

.PHONY: test-tools
test-tools:
	@scripts/install-tools tests

# --- Building -------------------------------------------------------------------------------------------------

.PHONY: build
build: $(JAR) $(LAB) ## Native library, jars and the lab

.PHONY: FORCE
FORCE:

# Cargo knows whether anything is to be done; the copy keeps its time when nothing changed, and so does the jar.
$(NATIVE): FORCE | tools
	@cargo rustc --locked --profile $(PROFILE) --lib --crate-type cdylib $(NATIVE_FEATURES)
	@mkdir -p $(@D)
	@cmp -s $(BUILT)/libjmeter_webrtc.so $@ || install -m 755 $(BUILT)/libjmeter_webrtc.so $@

$(TEST_NATIVE): FORCE | tools
	@cargo rustc --locked --lib --crate-type cdylib --features test-natives
	@mkdir -p $(@D)
	@cmp -s target/debug/libjmeter_webrtc.so $@ || install -m 755 target/debug/libjmeter_webrtc.so $@

# With an example beside it cargo takes the features of `cargo test`, whose crates are built already.
$(LAB): FORCE | tools
	@cargo build --locked --profile $(PROFILE) --bin webrtc-lab $(if $(filter dev,$(PROFILE)),--example provoked_call)

$(NOTICES): Cargo.lock scripts/third_party_notices.py | $(NATIVE)
	@python3 scripts/third_party_notices.py $@
	@touch $@

$(JAR): $(NATIVE) $(NOTICES) $(JAVA_SOURCES) LICENSE NOTICE
	@echo "building $(@F)"
	@$(MAVEN) -DskipTests package
	@touch $@ $(DROPIN_JAR)

# --- JMeter ---------------------------------------------------------------------------------------------------

.PHONY: jmeter
jmeter: $(INSTALLED_JAR) ## A complete JMeter 5.6.3 with our jars, in target/jmeter
	@echo "JMETER_HOME: $(JMETER_HOME)   start it: $(JMETER_HOME)/bin/jmeter"

$(JMETER_STAMP): scripts/jmeter-home/pom.xml scripts/jmeter-home/jmeter | tools
	@echo "assembling JMeter in $(JMETER_HOME)"
	@rm -rf $(JMETER_HOME)
	@$(MAVEN) -f scripts/jmeter-home/pom.xml -Djmeter.home=$(CURDIR)/$(JMETER_HOME) generate-resources
	@mkdir -p $(JMETER_HOME)/lib/junit
	@rm -rf $(JMETER_HOME)/.markers
	@install -m 755 scripts/jmeter-home/jmeter $(JMETER_HOME)/bin/jmeter
	@touch $@

$(INSTALLED_JAR): $(JAR) $(JMETER_STAMP)
	@rm -f $(JMETER_HOME)/lib/ext/jmeter-webrtc-*.jar
	@cp $(DROPIN_JAR) $(@D)
	@cp $(JAR) $@

# --- Running --------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(INSTALLED_JAR) $(LAB) ## 200 softphones through JMeter against the lab
	@python3 demo/run.py --softphones $(SOFTPHONES) --hold $(HOLD) $(if $(RAMP),--ramp $(RAMP)) \
	    --jmeter-home $(JMETER_HOME) --lab $(LAB) --output target/demo

.PHONY: observer-cost
observer-cost: ## What observing a packet costs, in instructions (valgrind)
	cargo build --locked --release --example observer_cost
	scripts/observer-cost.sh target/release/examples/observer_cost

.PHONY: exchange-cost
exchange-cost: ## What an exchange over a WebSocket costs, in instructions (valgrind)
	cargo build --locked --release --example exchange_cost
	scripts/exchange-cost.sh target/release/examples/exchange_cost

.PHONY: bench
bench: $(INSTALLED_JAR) $(LAB) ## What softphones and sockets cost: target/bench/summary.json
	cargo build --locked --release $(addprefix --example ,softphone_cost bare_engine idle_sockets idle_softphones)
	python3 bench/run.py

# --- Proving --------------------------------------------------------------------------------------------------

# So many programs and modules of tests go side by side.
AT_ONCE ?= 4
SIDE_BY_SIDE := $(MAKE) --no-print-directory --output-sync=target --jobs $(AT_ONCE)

PROOFS := built-rust-tests test-python test-alone test-causes test-thread test-beside

.PHONY: test
test: ## Everything that proves it
	@$(MAKE) --no-print-directory PROFILE=dev prove

# PROFILE=release: with the optimised library, which takes ten minutes more to build.
.PHONY: prove
prove: $(PROOFS)

# Programs of `cargo test`, as its options: each integration test, and what has no file of its own.
RUST_TESTS := $(addprefix --test=,$(basename $(notdir $(wildcard tests/*.rs))) $(notdir $(patsubst %/main.rs,%,$(wildcard tests/*/main.rs)))) \
    --lib --bins --examples --doc

cargo-test-%:
	@echo "cargo test $*"; env --unset=MAKEFLAGS --unset=MFLAGS cargo test --quiet --locked $*

RUST_TESTS_LONGEST := $(addprefix --test=,engine_softphones auto_ice_calls sip_softphone turn_many call_verdicts auto_ice_life)
RUN_RUST_TESTS := $(addprefix cargo-test-,$(RUST_TESTS_LONGEST) $(filter-out $(RUST_TESTS_LONGEST),$(RUST_TESTS)))

.PHONY: built-rust-tests
built-rust-tests: | tools
	cargo test --locked --no-run

# Cargo would run one program after another, and most of them wait.
.PHONY: test-rust
test-rust: built-rust-tests ## Rust unit and integration tests
	@$(SIDE_BY_SIDE) $(RUN_RUST_TESTS)

.PHONY: test-java
test-java: $(NATIVE) $(TEST_NATIVE) $(NOTICES) ## Java unit tests, with the native library
	@$(MAKE) --no-print-directory run-java

# The same with everything built.
.PHONY: run-java
run-java:
	$(MAVEN) verify

.PHONY: test-python
test-python: | tools ## Tests of the demo runner, of the scripts and of what interop's suites share
	python3 -m unittest discover --start-directory tests/scripts --top-level-directory .
	python3 -m unittest discover --start-directory interop/suite --top-level-directory interop

# Runs of JMeter mostly wait. What fills the cores or has to stop in time runs alone.
export WEBRTC_LAB := $(CURDIR)/$(LAB)
export WEBRTC_JMETER_HOME := $(CURDIR)/$(JMETER_HOME)
JMETER_TESTS := $(subst /,.,$(basename $(wildcard tests/jmeter/test_*.py)))
JMETER_TESTS_ALONE := tests.jmeter.test_demo tests.jmeter.test_stopping tests.jmeter.test_relay

# One module of tests whose needs are built.
run-%:
	@echo "python3 -m unittest $*"; python3 -m unittest $*

JMETER_TESTS_BESIDE := $(filter-out $(JMETER_TESTS_ALONE),$(JMETER_TESTS))

.PHONY: test-alone
test-alone: $(INSTALLED_JAR) $(LAB) media-peers | test-tools
	python3 -m unittest $(JMETER_TESTS_ALONE) tests.auto_ice.test_crowd

.PHONY: test-jmeter
test-jmeter: test-alone ## Plans through a real JMeter
	@$(SIDE_BY_SIDE) $(addprefix run-,$(JMETER_TESTS_BESIDE))

# The longest modules of those below: what is begun last decides when all is done.
LONGEST_MODULES = tests.jmeter.test_results tests.jmeter.test_softphone tests.compat.test_plan_shapes $(AUTO_ICE_TESTS) \
    tests.compat.test_differential tests.compat.test_closed_list tests.jmeter.test_websockets tests.jmeter.test_examples
MODULES_BESIDE = $(JMETER_TESTS_BESIDE) tests.compat.test_golden $(PLAN_TESTS)

# Everything that may run side by side.
.PHONY: test-beside
test-beside: built-rust-tests $(INSTALLED_JAR) $(LAB) $(TEST_NATIVE) media-peers | test-tools
	@$(SIDE_BY_SIDE) run-java $(addprefix run-,$(LONGEST_MODULES) $(filter-out $(LONGEST_MODULES),$(MODULES_BESIDE))) $(RUN_RUST_TESTS)

.PHONY: golden
golden: $(INSTALLED_JAR) ## Plans for WebSocket Samplers behave as recorded, case by case
	python3 -m unittest tests.compat.test_golden

# Everything of tests/compat but `golden`, which is a target of its own, and the hunt through random plans.
PLAN_TESTS := $(filter-out tests.compat.test_golden tests.compat.test_differential,$(subst /,.,$(basename $(wildcard tests/compat/test_*.py))))

.PHONY: test-plans
test-plans: $(INSTALLED_JAR) ## Existing plans in every shape
	@$(SIDE_BY_SIDE) $(addprefix run-,$(PLAN_TESTS))

AUTO_ICE_TESTS := tests.auto_ice.test_plans tests.auto_ice.test_life

.PHONY: test-auto-ice
test-auto-ice: $(INSTALLED_JAR) media-peers ## Plans with canned descriptions make real calls
	python3 -m unittest $(AUTO_ICE_TESTS) tests.auto_ice.test_crowd

.PHONY: media-peers
media-peers: | tools
	cargo build --locked --example media_peers

# SEEDS="201 202": others; each is 40 plans, in one JMeter with the original plugin and in one with ours.
.PHONY: test-random
test-random: $(INSTALLED_JAR) | test-tools ## Random plans through the original plugin and through ours: no difference
	COMPAT_SEEDS="$(SEEDS)" python3 -m unittest tests.compat.test_differential

.PHONY: test-compat
test-compat: golden test-plans ## All of that, with many more random plans; many minutes
	$(MAKE) test-random SEEDS="$$(seq -s ' ' 101 115)"

.PHONY: test-causes
test-causes: provoking ## Every cause of failure provoked once, as root
	python3 -m unittest tests.causes.test_verdicts tests.causes.test_provocations

.PHONY: test-thread
test-thread: $(INSTALLED_JAR) provoking ## Nine suspects, 200 softphones each through JMeter, nine verdicts, as root
	python3 -m unittest tests.causes.test_thread

.PHONY: provoking
provoking: | tools
	cargo build --locked --bin webrtc-lab --example provoked_call

# TIMES=1 PARALLEL=4 ONLY=turn_: another number of runs, of runs at once, and only what matches.
.PHONY: causes
causes: provoking ## Every cause of failure provoked 20 times, as root: target/causes.json
	python3 -m tests.causes --times $(or $(TIMES),20) --parallel $(or $(PARALLEL),10) $(if $(ONLY),--only '$(ONLY)')

# ROUNDS=5000000 SEED=7: how much, and what.
.PHONY: fuzz
fuzz: | tools ## Auto ICE on a million damaged messages, from another seed each time
	AUTOICE_FUZZ_ROUNDS=$(or $(ROUNDS),1000000) AUTOICE_FUZZ_SEED=$(or $(SEED),$$RANDOM$$RANDOM) \
	    cargo test --locked --release --test autoice_mutation

INTEROP := $(addprefix interop/,run genesys/run sip/run janus/run whip/run)

.PHONY: $(INTEROP)
$(INTEROP): | tools
	$@

# Calls last as long as they last; two suites at once wait half as long for them. Their lines come as they are printed, each with
# the name of its peer.
.PHONY: interop
interop: | tools ## Real peers: Chromium, aiortc and pion, both roles; the Genesys Cloud client; JsSIP, Kamailio; Janus; pion's WHIP server
	@$(MAKE) --no-print-directory --jobs 2 $(INTEROP)

.PHONY: soak
soak: $(INSTALLED_JAR) ## Ten minutes of think time and of idle SIP softphones, a million iterations; not part of test
	python3 -m tests.compat.think_time --minutes 10
	python3 -m tests.compat.header_manager --iterations 1000000
	interop/sip/run --only idling --idle-s 600

.PHONY: lint
lint: lint-rust lint-java lint-scripts ## Formatting, warnings as errors, licences

.PHONY: lint-rust
lint-rust: $(CARGO_DENY)
	cargo fmt --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
	$(CARGO_DENY) --locked check bans licenses sources

.PHONY: lint-java
lint-java: | tools
	$(MAVEN) test-compile

.PHONY: lint-scripts
lint-scripts: | tools
	python3 -W error -m compileall -q -f $(PYTHON_SOURCES)
	for script in $(SHELL_SCRIPTS); do bash -n "$$script"; done
	if command -v shellcheck >/dev/null; then shellcheck $(SHELL_SCRIPTS); fi

# Unoptimised: it runs for seconds, and building it optimised takes many minutes.
$(CARGO_DENY): | tools
	CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --debug --locked cargo-deny --version $(CARGO_DENY_VERSION) \
	    --root target/tools --no-track

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf target java/target jmeter-plugin/target jmeter-dropin/target
