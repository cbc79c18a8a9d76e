# The front door. Meson does the work; every target here is one thing a person wants.
#
#   make          build build/pabal
#   make run      build, then run a broker on ./data
#   make test     everything, the real clients too; the last line is the sum
#   make check    -Werror, unit tests, tidy: what to run before a commit
#   make asan tsan fuzz sim bench format tidy dist install clean
#   make chaos    disasters at random under load (ROUNDS=50); make soak: load without any (MINUTES=10)
#
# BUILD=dir puts the build elsewhere; MESON_ARGS go to meson setup.

BUILD ?= build
MESON_ARGS ?=
FUZZ_SECONDS ?= 600
SIM_POINTS ?= 200000
ROUNDS ?= 50
MINUTES ?= 10
MESON = meson
PYTHON = .venv/bin/python
sources = $(shell git ls-files '*.c' '*.h')

.PHONY: all run test check asan tsan fuzz sim chaos soak bench format format-check tidy dist install clean \
        deps-build deps-test deps-clients FORCE

all: $(BUILD)/pabal

deps-build:
	@tools/install-deps.sh build

deps-test:
	@tools/install-deps.sh test

deps-clients:
	@tools/install-deps.sh clients

$(BUILD)/build.ninja: | deps-build
	$(MESON) setup $(BUILD) $(MESON_ARGS)

# Ninja knows what is out of date; the program is linked to where it is looked for.
$(BUILD)/pabal: FORCE | $(BUILD)/build.ninja
	@ninja -C $(BUILD) src/server/pabal
	@ln -sf src/server/pabal $@

run: all
	@echo "Pabal on ./data. Ctrl-C stops it. In another terminal, try:"
	@echo "  $(BUILD)/pabal topic create orders && echo hello | $(BUILD)/pabal publish orders"
	@echo "  $(BUILD)/pabal consume orders --from-beginning --idle 1s"
	@echo "  $(BUILD)/pabal queue create tasks && $(BUILD)/pabal publish --queue tasks hello"
	@exec $(BUILD)/pabal server --set data.dir=data

# The real clients, in a Python environment of the project's own.
.venv/installed: tests/clients/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

test: deps-clients $(BUILD)/build.ninja .venv/installed
	@tests/clients/drivers/install.sh $(BUILD)/clients || [ -z "$$CI" ]
	@ninja -C $(BUILD) --quiet
	@ln -sf src/server/pabal $(BUILD)/pabal
	@$(PYTHON) tests/run.py $(BUILD)

check: deps-test
	@[ -f build-check/build.ninja ] || $(MESON) setup build-check -Dwerror=true
	@ninja -C build-check --quiet
	@$(MESON) test -C build-check --no-rebuild --quiet \
	    $$($(MESON) test -C build-check --no-rebuild --list 2>/dev/null | sed 's/.* \/ //' | grep -v _sim)

asan: deps-test
	@[ -f build-asan/build.ninja ] || $(MESON) setup build-asan -Db_sanitize=address,undefined \
	    -Db_lundef=false -Dcheck_slow=true
	@ninja -C build-asan --quiet
	@$(MESON) test -C build-asan --no-rebuild --timeout-multiplier 10

tsan: deps-test
	@[ -f build-tsan/build.ninja ] || $(MESON) setup build-tsan -Db_sanitize=thread -Db_lundef=false
	@ninja -C build-tsan --quiet
	@$(MESON) test -C build-tsan --no-rebuild --timeout-multiplier 10

fuzz:
	@tools/install-deps.sh fuzz
	@[ -f build-fuzz/build.ninja ] || CC=clang $(MESON) setup build-fuzz -Dfuzz=true \
	    -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C build-fuzz --quiet
	@for target in build-fuzz/tests/fuzz/*_fuzz; do \
	    name=$$(basename $$target _fuzz); mkdir -p build-fuzz/corpus/$$name; \
	    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 nice -n 15 $$target \
	        -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=20 -rss_limit_mb=2048 \
	        -malloc_limit_mb=512 -entropic=0 -artifact_prefix=build-fuzz/$$name- \
	        build-fuzz/corpus/$$name tests/fuzz/corpus/$$name > build-fuzz/$$name.log 2>&1 || \
	        { tail -n 60 build-fuzz/$$name.log; exit 1; }; \
	    awk -v name=$$name '$$2 == "DONE" { printf "%-14s %9d executions, %6d edges, %6d features\n", \
	        name, substr($$1, 2), $$4, $$6 }' build-fuzz/$$name.log; \
	done

sim: deps-test $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet
	@seed=$$(date +%s); echo "seed $$seed"; \
	    $(BUILD)/tests/sim/log_sim --points $(SIM_POINTS) --seed $$seed && \
	    $(BUILD)/tests/sim/broker_sim --points $(SIM_POINTS) --seed $$seed && \
	    $(BUILD)/tests/sim/rules_sim --points $(SIM_POINTS) --seed $$seed && \
	    $(BUILD)/tests/sim/rules_sim --points $$(($(SIM_POINTS) / 20)) --seed $$seed --each-kind

# BENCH_ARGS: --quick, --only K1,A1, --rounds 3; python3 bench/run.py --help
# As root with all that can happen: a file system of its own can lose its power and fill up.
chaos: all .venv/installed
	@$(PYTHON) tests/faults/chaos.py --rounds $(ROUNDS)

soak: all .venv/installed
	@$(PYTHON) tests/faults/soak.py --minutes $(MINUTES)

bench: all
	@ninja -C $(BUILD) --quiet bench/floor
	@python3 bench/run.py $(BENCH_ARGS)

format:
	@clang-format-14 -i $(sources)

format-check:
	@clang-format-14 --dry-run -Werror $(sources)

# clang-tidy too, where it is installed and something was built.
tidy: format-check
	@python3 tests/tidy/tidy.py
	@if command -v clang-tidy-14 > /dev/null && [ -f $(BUILD)/compile_commands.json ]; then \
	    clang-tidy-14 -p $(BUILD) --quiet $$(git ls-files 'src/*.c' | grep -v _test.c) 2> /dev/null; \
	else \
	    echo "no clang-tidy-14, or nothing in $(BUILD): its checks are left out"; \
	fi

dist: $(BUILD)/build.ninja
	$(MESON) dist -C $(BUILD) --no-tests

install: all
	$(MESON) install -C $(BUILD)

clean:
	rm -rf build build-check build-asan build-tsan build-fuzz
