# Close in SQL. Plain make; the PostgreSQL side is built by pg_ext/Makefile (PGXS).
#
#   make demo     from nothing to answers in the shell      make check    every test
#   make          build/sqlite/close.so, build/pg/close.so  make help     all targets

VERSION = 0.1.0

# BUILD is the output folder; DEBUG=1 turns assertions, block counting and fault injection on;
# SAN=address,undefined builds with sanitizers.
BUILD ?= build
# One name for one folder: objects know each other by the names that make was given.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
CC = gcc
AR = ar
PKG_CONFIG ?= pkg-config
PG_CONFIG ?= pg_config
PYTHON ?= python3
OPTFLAGS ?= -O2 -g
# The tree has no warnings; WERROR= builds all the same where a newer compiler finds some.
WERROR ?= -Werror

WARN = -Wall -Wextra $(WERROR) -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wvla -Wformat=2 -Wundef -Wcast-qual -Wwrite-strings -Wimplicit-fallthrough
HARDEN = -D_FORTIFY_SOURCE=2 -fstack-protector-strong
CPPFLAGS_CORE = -D_GNU_SOURCE -Isrc
ifdef DEBUG
OPTFLAGS = -O1 -g
HARDEN =
CPPFLAGS_CORE += -DCLO_DEBUG
endif
ifdef SAN
OPTFLAGS = -O1 -g
HARDEN =
SANFLAGS = -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
endif
CFLAGS_ALL = -std=c11 -fPIC -fvisibility=hidden -MMD -MP $(WARN) $(OPTFLAGS) $(HARDEN) $(SANFLAGS) $(CFLAGS)
LDFLAGS_ALL = -Wl,-z,relro,-z,now $(SANFLAGS) $(LDFLAGS)

# V=1 shows whole commands.
Q = $(if $(V),,@)
say = $(if $(V),@:,@echo '  $(1)')

# pkg-config is asked only when something is compiled: a bare machine installs it first.
CURL_CFLAGS = $(shell $(PKG_CONFIG) --cflags libcurl)
JSON_CFLAGS = $(shell $(PKG_CONFIG) --cflags json-c)
CORE_LIBS = $(shell $(PKG_CONFIG) --libs libcurl json-c) -lm
TEST_LIBS = $(shell $(PKG_CONFIG) --libs cmocka)
SERVER_LIBS = $(shell $(PKG_CONFIG) --libs libmicrohttpd json-c)

CORE_SRC = $(filter-out src/gen.c,$(wildcard src/*.c))
CORE_OBJ = $(CORE_SRC:src/%.c=$(BUILD)/core/%.o)
CORE_LIB = $(BUILD)/libclo_core.a
SQLITE_SRC = $(wildcard sqlite_ext/*.c)
SQLITE_OBJ = $(SQLITE_SRC:sqlite_ext/%.c=$(BUILD)/sqlite/%.o)
SQLITE_SO = $(BUILD)/sqlite/close.so
SERVER_SRC = $(wildcard test/server/*.c)
SERVER_OBJ = $(SERVER_SRC:test/server/%.c=$(BUILD)/server/%.o)
SERVER_BIN = $(BUILD)/close-standin
UNIT_SRC = $(wildcard test/unit/test_*.c)
UNIT_BIN = $(UNIT_SRC:test/unit/%.c=$(BUILD)/unit/%)

.DEFAULT_GOAL = all
.PHONY: all sqlite pg standin core unit help
all: sqlite standin $(if $(shell command -v $(PG_CONFIG) 2>/dev/null),pg)
core: $(CORE_LIB)
sqlite: $(SQLITE_SO)
standin: $(SERVER_BIN)
unit: $(UNIT_BIN)

$(BUILD)/core/%.o: src/%.c
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(CPPFLAGS_CORE) $(CPPFLAGS) $(if $(filter http.c headers.c sockets.c,$(<F)),$(CURL_CFLAGS)) \
		$(if $(filter json.c,$(<F)),$(JSON_CFLAGS)) $(CFLAGS_ALL) -c -o $@ $<

$(CORE_LIB): $(CORE_OBJ)
	@rm -f $@
	$(call say,AR $@)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/sqlite/%.o: sqlite_ext/%.c
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(CPPFLAGS_CORE) $(CPPFLAGS) $(CFLAGS_ALL) -c -o $@ $<

# No -lsqlite3: every SQLite call goes through the host's table, and a forgotten one fails to link.
# nodelete: a library that owns TLS state must stay.
$(SQLITE_SO): $(SQLITE_OBJ) $(CORE_LIB) sqlite_ext/exports.map
	$(call say,LD $@)
	$(Q)$(CC) -shared $(LDFLAGS_ALL) $(if $(SAN),,-Wl,--no-undefined) -Wl,-z,nodelete \
		-Wl,--version-script=sqlite_ext/exports.map -o $@ $(SQLITE_OBJ) $(CORE_LIB) $(CORE_LIBS) -lpthread

$(BUILD)/server/%.o: test/server/%.c
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) -D_GNU_SOURCE $(CPPFLAGS) $(CFLAGS_ALL) -c -o $@ $<

$(SERVER_BIN): $(SERVER_OBJ)
	$(call say,LD $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(SERVER_LIBS) -lz -lpthread -lm

$(BUILD)/unit/%: test/unit/%.c $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(CPPFLAGS_CORE) -Itest/unit $(CPPFLAGS) $(CFLAGS_ALL) -o $@ $< $(CORE_LIB) $(LDFLAGS_ALL) $(CORE_LIBS) $(TEST_LIBS) -lpthread

pg: $(CORE_LIB)
	$(MAKE) -C pg_ext PG_CONFIG=$(PG_CONFIG) BUILD=$(abspath $(BUILD)) SANFLAGS="$(SANFLAGS)" WERROR="$(WERROR)"

# The generator links the catalogue and the option table only, and is not part of any product.
GEN_BIN = $(BUILD)/gen
$(GEN_BIN): src/gen.c $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(CPPFLAGS_CORE) $(CPPFLAGS) $(CFLAGS_ALL) -o $@ $< $(CORE_LIB) $(LDFLAGS_ALL) $(CORE_LIBS) -lpthread

# --- Everything below may install what it needs first (.ci/deps says what) ------------------------

.PHONY: demo check check-sqlite check-pg check-unit check-crash lint drift generate asan valgrind torture \
	bench bench-docs fuzz fuzz-bin coverage analyze install dist clean

help:
	@echo 'make demo          build, start the stand-in service, run real queries'
	@echo 'make check         every test of both hosts (check-sqlite, check-pg, check-unit: parts)'
	@echo 'make               build/sqlite/close.so, build/pg/close.so, build/close-standin'
	@echo 'make install       the PostgreSQL extension (PG_CONFIG, DESTDIR), the stand-in with PREFIX'
	@echo 'make lint          formatting, clang-tidy, cppcheck, rules of the project'
	@echo 'make asan valgrind torture fuzz T=60 coverage analyze    deeper checks'
	@echo 'make bench         both hosts against SDK loops and pipelines (BENCH=--quick: a smoke run); make bench-docs'
	@echo 'make check-crash   the crash loops of the outbox in full'
	@echo 'make generate      derived files (docs/reference.md, sql/close.sql, pg_ext/pg_stubs.inc)'

demo:
	@sh .ci/deps build standin demo pg
	@$(MAKE) -s sqlite standin pg
	@sh test/demo.sh $(BUILD)

CHECK_DEPS = sh .ci/deps build standin pg check
check:
	@$(CHECK_DEPS)
	@$(MAKE) -s sqlite standin pg $(GEN_BIN)
	@$(MAKE) -s DEBUG=1 BUILD=$(BUILD)/debug unit sqlite pg
	@$(PYTHON) test/run_all.py --build $(BUILD)
check-sqlite check-pg: check-%:
	@$(CHECK_DEPS)
	@$(MAKE) $* standin $(GEN_BIN)
	@$(PYTHON) test/run_all.py --build $(BUILD) --hosts $* $*
# The crash loops of the outbox in full; check runs a few rounds of them.
check-crash:
	@$(CHECK_DEPS)
	@$(MAKE) sqlite standin pg
	@$(MAKE) -s DEBUG=1 BUILD=$(BUILD)/debug sqlite pg
	$(PYTHON) test/sqlite/check_outbox.py --build $(BUILD) --rounds 50 no_sequence outbox_crash
	$(PYTHON) test/pg/run_pg.py --build $(BUILD) --long --only outbox worker
check-unit:
	@$(CHECK_DEPS)
	@$(MAKE) DEBUG=1 BUILD=$(BUILD)/debug unit
	@$(PYTHON) test/run_all.py --build $(BUILD) unit

TIDY_SRC = $(CORE_SRC) $(SQLITE_SRC)
lint:
	@sh .ci/deps build standin lint
	@$(MAKE) -s sqlite standin
	@$(PYTHON) test/lint/lint.py --build $(BUILD)
	@printf '%s\n' $(TIDY_SRC) | xargs -P 2 -n 1 sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$$0" -- \
		-std=c11 $(CPPFLAGS_CORE) $(JSON_CFLAGS) $(CURL_CFLAGS) 2>/dev/null'
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,performance,portability \
		--suppress=missingIncludeSystem -D__GNUC__ -D_GNU_SOURCE -Isrc $(CORE_SRC) $(SQLITE_SRC)
	shellcheck -S warning .ci/run .ci/deps test/demo.sh

# Derived files are committed; a change of their source without them fails.
generate: $(GEN_BIN)
	$(GEN_BIN) --docs > $(BUILD)/reference.md && mv $(BUILD)/reference.md docs/reference.md
	$(GEN_BIN) --sql > $(BUILD)/close.sql && mv $(BUILD)/close.sql sql/close.sql
	$(GEN_BIN) --stubs > $(BUILD)/pg_stubs.inc && mv $(BUILD)/pg_stubs.inc pg_ext/pg_stubs.inc
drift:
	@sh .ci/deps build
	@$(MAKE) -s generate
	git diff --exit-code -- docs sql pg_ext/pg_stubs.inc

# The SQLite side under sanitizers: a stock shell with the runtime preloaded.
asan:
	@$(CHECK_DEPS)
	@$(MAKE) DEBUG=1 SAN=address,undefined BUILD=$(BUILD)/asan sqlite unit
	@$(MAKE) standin
	@$(PYTHON) test/run_sanitized.py --build $(BUILD)
valgrind:
	@$(CHECK_DEPS) valgrind
	@$(MAKE) DEBUG=1 BUILD=$(BUILD)/debug unit sqlite
	@$(MAKE) standin
	@$(PYTHON) test/run_sanitized.py --build $(BUILD) --valgrind

# Memory runs out and interrupts arrive, everywhere that five minutes reach.
torture:
	@$(CHECK_DEPS)
	@$(MAKE) DEBUG=1 BUILD=$(BUILD)/debug sqlite
	@$(MAKE) BUILD=$(BUILD)/debug standin
	@$(PYTHON) test/host/torture.py --build $(BUILD)/debug

# Lines of the core that tests run; fails below 90 %.
coverage:
	@$(CHECK_DEPS)
	@$(MAKE) DEBUG=1 BUILD=$(BUILD)/coverage CFLAGS="$(CFLAGS) --coverage -fprofile-update=atomic" \
		LDFLAGS="$(LDFLAGS) --coverage" sqlite unit
	@$(MAKE) BUILD=$(BUILD)/coverage standin
	@$(PYTHON) test/coverage.py --build $(abspath $(BUILD))/coverage

# Path by path through core and glue, by the analyzer of clang; objects are thrown away.
analyze:
	@sh .ci/deps build analyze
	@rm -rf $(BUILD)/analyze
	scan-build --status-bugs -o $(BUILD)/analyze/report --use-cc=gcc \
		$(MAKE) BUILD=$(BUILD)/analyze sqlite

# libFuzzer over the parsers, T seconds each; a crash leaves its input in $(BUILD)/fuzz.
T ?= 60
FUZZ_SRC = $(wildcard test/fuzz/fuzz_*.c)
FUZZ_BIN = $(FUZZ_SRC:test/fuzz/%.c=$(BUILD)/fuzz/%)
$(BUILD)/fuzz/fuzz_%: test/fuzz/fuzz_%.c
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(CPPFLAGS_CORE) $(CPPFLAGS) $(CFLAGS_ALL) -fsanitize=fuzzer -o $@ $< $(CORE_LIB) $(LDFLAGS_ALL) \
		$(CORE_LIBS) -lpthread
fuzz-bin: core $(FUZZ_BIN)
fuzz:
	@sh .ci/deps build fuzz
	@$(MAKE) CC=clang DEBUG=1 SAN=address,undefined,fuzzer-no-link BUILD=$(BUILD)/fuzz fuzz-bin
	@$(PYTHON) test/fuzz/run_fuzz.py --build $(BUILD)/fuzz --seconds $(T)

# The benchmark against what users would take instead; BENCH=--quick is a smoke run of a minute.
$(BUILD)/bench/floor: test/bench/floor.c
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) -D_GNU_SOURCE $(CPPFLAGS) $(CURL_CFLAGS) $(JSON_CFLAGS) $(CFLAGS_ALL) -o $@ $< $(LDFLAGS_ALL) $(CORE_LIBS)
bench:
	@sh .ci/deps build standin pg bench
	-@sh .ci/deps sdk
	@$(MAKE) sqlite standin pg $(BUILD)/bench/floor
	@$(PYTHON) test/bench/bench.py --build $(BUILD) $(BENCH)
bench-docs:
	@$(PYTHON) test/bench/bench.py --build $(BUILD) --write-docs

PREFIX ?= /usr/local
install: pg standin
	$(MAKE) -C pg_ext PG_CONFIG=$(PG_CONFIG) BUILD=$(abspath $(BUILD)) DESTDIR=$(DESTDIR) install
	install -D -m 755 $(SERVER_BIN) $(DESTDIR)$(PREFIX)/bin/close-standin

dist:
	@mkdir -p $(BUILD)
	git archive --prefix=close-$(VERSION)/ -o $(BUILD)/close-$(VERSION).tar.gz HEAD
	@echo $(BUILD)/close-$(VERSION).tar.gz

clean:
	rm -rf $(BUILD)

-include $(wildcard $(BUILD)/core/*.d $(BUILD)/sqlite/*.d $(BUILD)/server/*.d $(BUILD)/unit/*.d)
