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
PACKAGES_TEST  := libcmocka-dev python3 python3-zmq clang-format cppcheck shellcheck systemd prometheus curl procps util-linux
PACKAGES       := $(PACKAGES_BUILD) $(PACKAGES_RUN) $(PACKAGES_TEST)

CC       ?= gcc
WARN     := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef \
            -Wwrite-strings -Wno-missing-field-initializers
HARDEN   := -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2
OPT      ?= -O2 -g
SANITIZE ?=
ifneq ($(SANITIZE),)
HARDEN   := -fPIE
endif
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE -DTELDAGD_VERSION='"$(VERSION)"'
CFLAGS   += -std=gnu11 $(OPT) $(WARN) $(HARDEN) $(SANITIZE) $(shell pkg-config --cflags libpq 2>/dev/null)
LDFLAGS  += -pie -Wl,-z,relro,-z,now $(SANITIZE)
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

.PHONY: all binaries help deps check check-unit check-sim check-conf check-system check-san check-run lint bench demo install clean format
all: binaries

help:
	@sed -n 's/^## //p' Makefile

## make            build build/teldagd, build/teldagctl, build/teldag-feed (installs missing packages first)
all: | deps
binaries: $(BINARIES)

## make deps       install the Debian packages that are missing (as root, or with sudo)
deps:
	@tools/install-packages.sh $(PACKAGES)

$(BUILD)/gen/sql_embedded.c: sql/embed.sh $(wildcard sql/migrations/*.sql sql/checks/*.sql sql/statements/*.sql)
	@mkdir -p $(@D)
	sql/embed.sh > $@.tmp && mv $@.tmp $@
$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-overlength-strings -c -o $@ $<
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(LIB): $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/teldagd: $(BUILD)/daemon/main.o $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/teldagctl: $(patsubst %.c,$(BUILD)/%.o,$(CTL_SRC)) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/teldag-feed: $(patsubst %.c,$(BUILD)/%.o,$(FEED_SRC)) $(LIB)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# A test links only the objects it names, in a line "links: daemon/wire.o workers/position.o" of its first comment.
define test_rule
$(BUILD)/tests/$(basename $(notdir $(1))): $(BUILD)/$(basename $(1)).o $(addprefix $(BUILD)/,$(shell sed -n 's/^.*links: *//p' $(1)))
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $$@ $$^ -lcmocka $(LIBS)
endef
$(foreach t,$(UNIT_SRC) $(SIM_SRC),$(eval $(call test_rule,$(t))))

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
