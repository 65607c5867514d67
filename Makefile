# teldagd: build, test, install. `make help` lists the targets.
SHELL   := /bin/bash
PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   ?= build
VERSION := 0.1.0

# Debian packages: what building, running and testing need (reasons in CONTRIBUTING.md).
PACKAGES_BUILD := gcc make pkg-config libc6-dev libzmq3-dev libpq-dev libconfig-dev libyajl-dev liblmdb-dev libmicrohttpd-dev \
                  libsodium-dev
PACKAGES_RUN   := postgresql postgresql-client tzdata
PACKAGES_TEST  := git libcmocka-dev python3 python3-zmq clang-format cppcheck shellcheck systemd prometheus curl procps util-linux faketime strace binutils openssl
# Only `make fuzz` needs a second compiler; `make check` replays the corpus with gcc.
PACKAGES_FUZZ  := clang-14 libclang-rt-14-dev
PACKAGES_PATRONI := patroni etcd-server
PACKAGES       := $(PACKAGES_BUILD) $(PACKAGES_RUN) $(PACKAGES_TEST)

V ?= 0
ifeq ($(V),0)
Q   := @
say = @echo '  $(1)  $@'
endif

CC       ?= gcc
WARN     := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef \
            -Wwrite-strings -Wno-missing-field-initializers
HARDEN   := -fstack-protector-strong -fstack-clash-protection -fPIE -D_FORTIFY_SOURCE=3
OPT      ?= -O2 -g
SANITIZE ?=
ifneq ($(SANITIZE),)
HARDEN   := -fPIE
endif
# Failpoints (daemon/failpoint.h) are compiled into build-fault only; make check looks that what ships has none.
FAULTS   ?=
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE -DTELDAGD_VERSION='"$(VERSION)"'
ifneq ($(FAULTS),)
CPPFLAGS += -DTELDAGD_FAILPOINTS
endif
CFLAGS   += -std=gnu11 $(OPT) $(WARN) $(HARDEN) $(SANITIZE) $(shell pkg-config --cflags libpq 2>/dev/null)
LDFLAGS  += -pie -Wl,-z,relro,-z,now,-z,noexecstack $(SANITIZE)
LIBS     := -lzmq -lpq -lconfig -lyajl -llmdb -lmicrohttpd -lsodium -lpthread -lm

DAEMON_SRC := $(filter-out daemon/main.c,$(wildcard daemon/*.c))
WORKER_SRC := $(wildcard workers/*.c)
FEED_SRC   := $(wildcard tools/feed_*.c)
CTL_SRC    := $(wildcard tools/ctl_*.c)
GEN_SRC    := $(BUILD)/gen/sql_embedded.c
LIB_OBJ    := $(patsubst %.c,$(BUILD)/%.o,$(DAEMON_SRC) $(WORKER_SRC)) $(BUILD)/gen/sql_embedded.o
LIB        := $(BUILD)/libteldag.a
BINARIES   := $(BUILD)/teldagd $(BUILD)/teldagctl $(BUILD)/teldag-feed

UNIT_SRC   := $(wildcard tests/unit/test_*.c)
UNIT_BIN   := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
SIM_SRC    := $(wildcard tests/sim/sim_*.c)
SIM_BIN    := $(patsubst tests/sim/%.c,$(BUILD)/tests/%,$(SIM_SRC))

FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN   := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(FUZZ_SRC))

.PHONY: all binaries tests-built help deps check security-table check-boot check-unit check-sim check-conf check-sql check-system check-san \
        check-faults check-patroni lint bench demo \
        install clean format
all: binaries

help:
	@sed -n 's/^## //p' Makefile

## make            build build/teldagd, build/teldagctl, build/teldag-feed (installs missing packages first)
all: deps
	+@$(MAKE) --no-print-directory -j$(JOBS) binaries
binaries: $(BINARIES)

## make deps       install the Debian packages that are missing (as root, or with sudo)
deps:
	@tools/install-packages.sh $(PACKAGES)

$(BUILD)/gen/sql_embedded.c: sql/embed.sh $(wildcard sql/migrations/*.sql sql/checks/*.sql sql/statements/*.sql)
	@mkdir -p $(@D)
	$(call say,SQL)
	$(Q)sql/embed.sh > $@.tmp && mv $@.tmp $@
$(BUILD)/gen/%.o: $(BUILD)/gen/%.c Makefile
	$(call say,CC )
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-overlength-strings -c -o $@ $<
$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC )
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(call say,AR )
	$(Q)ar rcs $@ $^
$(BUILD)/teldagd: $(BUILD)/daemon/main.o $(LIB)
	$(call say,LD )
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/teldagctl: $(patsubst %.c,$(BUILD)/%.o,$(CTL_SRC)) $(LIB)
	$(call say,LD )
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/teldag-feed: $(patsubst %.c,$(BUILD)/%.o,$(FEED_SRC)) $(LIB)
	$(call say,LD )
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# A test links only the objects it names, in a line "links: daemon/wire.o workers/position.o" of its first comment, and takes the
# place of the functions it names in a line "wraps: malloc calloc" (ld --wrap).
comma := ,
define test_rule
$(BUILD)/tests/$(basename $(notdir $(1))): $(BUILD)/$(basename $(1)).o $(addprefix $(BUILD)/,$(shell sed -n 's/^.*links: *//p' $(1)))
	@mkdir -p $$(@D)
	$(if $(Q),@echo '  LD   '$$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(addprefix -Wl$(comma)--wrap=,$(shell sed -n 's/^ \* wraps: *//p' $(1))) -o $$@ $$^ -lcmocka $(LIBS)
endef
$(foreach t,$(UNIT_SRC) $(SIM_SRC),$(eval $(call test_rule,$(t))))

# A fuzz target takes what it does not fake from the library. Its main is libFuzzer's (FUZZER set: make fuzz), or replays its
# corpus.
FUZZER ?=
define fuzz_rule
$(BUILD)/tests/$(basename $(notdir $(1))): $(BUILD)/$(basename $(1)).o $(if $(FUZZER),,$(BUILD)/tests/fuzz/replay.o) \
  $(addprefix $(BUILD)/,$(shell sed -n 's/^.*links: *//p' $(1))) $(LIB)
	@mkdir -p $$(@D)
	$(if $(Q),@echo '  LD   '$$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(FUZZER) -o $$@ $$^ $(LIBS)
endef
$(foreach t,$(FUZZ_SRC),$(eval $(call fuzz_rule,$(t))))

fuzz-built: $(FUZZ_BIN)
tests-built: $(UNIT_BIN) $(SIM_BIN) $(FUZZ_BIN)

SAN_MAKE  := $(MAKE) --no-print-directory BUILD=build-san OPT='-O1 -g -fno-omit-frame-pointer' \
             SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined'
FAULT_MAKE := $(MAKE) --no-print-directory BUILD=build-fault OPT='-O2 -g' FAULTS=1
TSAN_MAKE := $(MAKE) --no-print-directory BUILD=build-tsan OPT='-O1 -g' SANITIZE='-fsanitize=thread'
FUZZ_MAKE := $(MAKE) --no-print-directory BUILD=build-fuzz CC='$(FUZZ_CC)' OPT='-O2 -g -fno-omit-frame-pointer' \
             SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' \
             FUZZER='-fsanitize=fuzzer,address,undefined'
FUZZ_CC   := clang-14
JOBS      := $(shell nproc)

## make check      everything below; the last line is "N passed, N failed"
check: deps
	+@$(MAKE) --no-print-directory -j$(JOBS) binaries tests-built
	+@$(SAN_MAKE) -j$(JOBS) binaries tests-built
	+@$(COV_MAKE) -j$(JOBS) tests-built
	+@$(TSAN_MAKE) -j$(JOBS) build-tsan/tests/test_inbox
	+@$(FAULT_MAKE) -j$(JOBS) binaries
	@tests/check.sh

## make check-unit, check-sim, check-conf, check-sql, check-system, check-san: one suite
##                 (make check-sim LONG=1: 10,000 seeds of 10,000 steps and more)
ifneq ($(LONG),)
check-sim: export SIM_SEEDS := 10000
endif
check-unit check-sim check-conf check-sql check-system: check-%: deps
	+@$(MAKE) --no-print-directory -j$(JOBS) binaries tests-built
	@tests/run.sh $*
## make check-boot    a virtual machine with a real systemd runs the units (root; some ten minutes; not part of check)
check-boot: deps
	+@$(MAKE) --no-print-directory -j$(JOBS) binaries
	@tests/boot/run.sh
.PHONY: sim-table
## make sim-table  the simulator's long form and planted bugs, into docs/reliability.md
sim-table: deps
	+@$(MAKE) --no-print-directory -j$(JOBS) tests-built
	@tests/sim/table.py
## make security-table  the table of docs/security.md from what the last check-system recorded
security-table: deps
	@/usr/bin/python3 tests/system/security_table.py
check-san: deps
	+@$(SAN_MAKE) -j$(JOBS) binaries tests-built
	+@$(TSAN_MAKE) -j$(JOBS) build-tsan/tests/test_inbox
	@BUILD=build-san tests/run.sh san
	@BUILD=build-tsan tests/run.sh tsan

## make check-patroni  the documented Patroni set-up as plain processes: leader killed, lead switched (about two minutes)
check-patroni: deps
	@tools/install-packages.sh $(PACKAGES_PATRONI)
	+@$(MAKE) --no-print-directory -j$(JOBS) binaries
	@/usr/bin/python3 tests/faults/patroni.py

## make check-faults  the fault campaign, some ten minutes, and the table of docs/reliability.md; LONG=1: a million events and
##                    a thousand kills
check-faults: deps
	+@$(MAKE) --no-print-directory -j$(JOBS) binaries
	+@$(FAULT_MAKE) -j$(JOBS) binaries
	@LONG=$(LONG) tests/run.sh campaign

## make lint       include boundaries, formatting, cppcheck, shellcheck, manual pages
lint: deps
	@tests/lint.sh

## make coverage   branch coverage of codec, event decoding, position, ledger, allocation; fails on a branch no test takes
COV_MAKE := $(MAKE) --no-print-directory BUILD=build-cov HARDEN=-fPIE OPT='-O0 -g -DNDEBUG --coverage -Wno-unused-variable \
            -Wno-unused-but-set-variable -Wno-unused-parameter -Wno-unused-function'
.PHONY: coverage coverage-built
coverage-built:
	+@$(COV_MAKE) -j$(JOBS) tests-built
coverage: deps coverage-built
	@BUILD=build-cov /usr/bin/python3 tests/coverage/run.py

## make fuzz       libFuzzer over every target, RUNS=10000000 executions each; TARGETS="event config" for some of them
RUNS ?= 10000000
.PHONY: fuzz fuzz-built
fuzz:
	@tools/install-packages.sh $(PACKAGES) $(PACKAGES_FUZZ)
	+@$(FUZZ_MAKE) -j$(JOBS) fuzz-built
	@/usr/bin/python3 tests/fuzz/run.py --runs $(RUNS) $(TARGETS)

## make bench      events/s as a ratio to COPY, latencies, memory, rebuild time (docs/performance.md)
bench: deps
	+@$(MAKE) --no-print-directory -j$(JOBS) binaries
	@/usr/bin/python3 tests/bench/run.py

## make demo       the main job on real school counts, with a private PostgreSQL; cleans up behind itself.
##                 CURVE=1: every socket encrypted
demo: deps
	+@$(MAKE) --no-print-directory -j$(JOBS) binaries
	@CURVE='$(CURVE)' tools/demo.sh

## make format     clang-format over the sources
format:
	@git ls-files '*.c' '*.h' | grep -v report_table.c | xargs clang-format -i

## make install    into $(DESTDIR)$(PREFIX); configuration that is there already is kept
install: binaries
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 \
	  $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)/etc/teldagd/rules $(DESTDIR)/usr/lib/systemd/system \
	  $(DESTDIR)/usr/lib/sysusers.d $(DESTDIR)/usr/lib/tmpfiles.d $(DESTDIR)$(PREFIX)/share/doc/teldagd/protocol \
	  $(DESTDIR)$(PREFIX)/share/doc/teldagd/schemas
	install -m 755 $(BINARIES) $(DESTDIR)$(PREFIX)/bin
	install -m 644 docs/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 docs/*.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 docs/*.md README.md NEWS.md SECURITY.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/teldagd
	install -m 644 docs/protocol/*.md $(DESTDIR)$(PREFIX)/share/doc/teldagd/protocol
	install -m 644 docs/schemas/*.json $(DESTDIR)$(PREFIX)/share/doc/teldagd/schemas
	for f in conf/teldagd.conf conf/rules/*.conf; do \
	  t=$(DESTDIR)/etc/teldagd/$${f#conf/}; [ -e $$t ] || install -m 644 $$f $$t; done
	for u in teldagd.service teldag-feed@.service; do \
	  sed 's|/usr/local/bin|$(PREFIX)/bin|' systemd/$$u > $(DESTDIR)/usr/lib/systemd/system/$$u; done
	install -m 644 systemd/teldagd.sysusers $(DESTDIR)/usr/lib/sysusers.d/teldagd.conf
	install -m 644 systemd/teldagd.tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/teldagd.conf

clean:
	rm -rf build build-san build-tsan build-fault build-fuzz build-cov

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d)
