# Postern. `make help` lists the targets. Two commands set everything up on a fresh Debian 12:
#   make run     installs what is missing, builds, serves, and proves it with a TLS 1.3 session
#   make test    installs what the tests need, and runs them all
BUILD   ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
B       := build/$(BUILD)
JOBS    ?= $(shell nproc)
ifeq (,$(filter -j%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(JOBS)
endif
Q       := $(if $(V),,@)

PKGS    := libssl libcrypto libcares libseccomp
VERSION := $(shell cat VERSION)$(shell git describe --always --dirty --exclude '*' 2>/dev/null | sed 's/^/+/')

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wcast-qual -Wcast-align -Wwrite-strings -Wformat=2 -Wundef \
	-Wvla -Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference -Wdouble-promotion \
	-Wframe-larger-than=65536
ifneq (,$(findstring clang,$(CC)))
WARNINGS += -Wno-gnu-zero-variadic-macro-arguments -Wno-unknown-warning-option
else
WARNINGS += -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wformat-signedness -Wno-format-truncation
endif
ifneq (,$(or $(CI),$(WERROR)))
WARNINGS += -Werror
endif
HARDENING := -fno-common -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE \
	-fno-strict-aliasing -fno-delete-null-pointer-checks -ftrivial-auto-var-init=zero \
	-ffunction-sections -fdata-sections
CFLAGS_release := -O2 -flto=auto -D_FORTIFY_SOURCE=3
CFLAGS_debug   := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_coverage := -O0 -g --coverage
CFLAGS  := -std=gnu17 -D_GNU_SOURCE $(WARNINGS) $(HARDENING) -Isrc -Iinclude -MMD -MP \
	$(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS_$(BUILD))
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections -Wl,--as-needed
LDLIBS  := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -pthread

# Only these know the version, so that a commit does not rebuild the tree.
$(B)/src/programs/%.o $(B)/src/bridge/metrics_page.o: VERSION_FLAG = -DPOSTERN_VERSION='"$(VERSION)"'
LIB_SRCS := $(filter-out src/programs/%,$(wildcard src/*/*.c))
PROGRAMS := $(patsubst src/programs/%.c,%,$(wildcard src/programs/*.c))
UNIT     := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/*/test_*.c))
SUPPORT  := $(patsubst %.c,$(B)/%.o,$(wildcard tests/support/*.c))
TOOLS    := $(patsubst %.c,$(B)/%,$(wildcard tests/tools/*.c))
DIFF     := $(patsubst %.c,$(B)/%,$(wildcard tests/diff/*.c))
REPLAY   := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)))
FUZZERS  := $(patsubst tests/fuzz/%.c,%,$(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)))

.DEFAULT_GOAL := all
.PHONY: all run test bench fuzz soak lint format tidy tree coverage valgrind compdb install uninstall \
	dist clean help tests-built
.PRECIOUS: $(B)/%.o
.DELETE_ON_ERROR:

all: $(PROGRAMS:%=$(B)/bin/%) ## Build every program to build/bin/
	@mkdir -p build; ln -sfn release/bin build/bin

# The hot loops of the data path.
$(B)/src/ws/unmask.o $(B)/src/ws/decode.o $(B)/src/bridge/relay_up.o $(B)/src/bridge/relay_down.o: \
	CFLAGS += $(if $(filter release,$(BUILD)),-O3)

$(B)/src/%.o: src/%.c
	@mkdir -p $(@D); $(if $(Q),echo "  CC  $<")
	$(Q)$(CC) $(CFLAGS) $(VERSION_FLAG) -c -o $@ $<
$(B)/tests/%.o: tests/%.c
	@mkdir -p $(@D); $(if $(Q),echo "  CC  $<")
	$(Q)$(CC) $(CFLAGS) -Itests -c -o $@ $<
$(B)/libpostern.a: $(LIB_SRCS:%.c=$(B)/%.o)
	$(Q)rm -f $@; $(if $(filter release,$(BUILD)),gcc-ar,ar) rcs $@ $^
$(B)/libsupport.a: $(SUPPORT)
	$(Q)rm -f $@; $(if $(filter release,$(BUILD)),gcc-ar,ar) rcs $@ $^
$(B)/bin/%: $(B)/src/programs/%.o $(B)/libpostern.a
	@mkdir -p $(@D); $(if $(Q),echo "  LD  $@")
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libsupport.a $(B)/libpostern.a
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
$(B)/tests/tools/%: $(B)/tests/tools/%.o $(B)/libpostern.a
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/tests/diff/%: $(B)/tests/diff/%.o $(B)/libpostern.a
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka -lhttp_parser -lwslay $(LDLIBS)
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(B)/libsupport.a $(B)/libpostern.a
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/tests/fuzz/%.o: CFLAGS += -Wno-missing-prototypes

tests-built: $(UNIT) $(TOOLS) $(DIFF) $(REPLAY)

run: ## Install what is missing, build, serve on 127.0.0.1:9000 and prove it (ONCE=1: only prove it)
	@scripts/bootstrap build
	@$(MAKE) --no-print-directory all
	@scripts/run-demo $(if $(ONCE),--once)

test: ## Run every test (T=unit|fuzz|diff|integration|browser|man: only those)
	@scripts/bootstrap build test
	@$(MAKE) --no-print-directory BUILD=release all
	@$(MAKE) --no-print-directory BUILD=debug all tests-built
	@scripts/test-runner $(T)

bench: ## Measure this bridge beside its peers (ARGS="--quick")
	@scripts/bootstrap build bench
	@$(MAKE) --no-print-directory all
	@bench/run $(ARGS)

FUZZ_CC    ?= clang-14
FUZZ_FLAGS := -std=gnu17 -D_GNU_SOURCE -Isrc -Itests -g -O1 -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
TIME ?= 60
build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<
build/fuzz/bin/%: build/fuzz/obj/tests/fuzz/%.o $(LIB_SRCS:%.c=build/fuzz/obj/%.o)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)
fuzz: ## Fuzz every target, or T=NAME, for TIME=60 seconds each
	@scripts/bootstrap build fuzz
	@$(MAKE) --no-print-directory $(addprefix build/fuzz/bin/,$(or $(T),$(FUZZERS)))
	@scripts/fuzz --seconds $(TIME) $(or $(T),$(FUZZERS))

soak: ## Long runs: churn, memory that must stay flat
	@scripts/bootstrap build test
	@$(MAKE) --no-print-directory all
	@cd tests/soak && POSTERN_BIN=$(CURDIR)/build/release/bin /usr/bin/python3 -m pytest -q

lint: ## clang-format, cppcheck, clang-tidy, shellcheck, and who includes whom
	@scripts/bootstrap build lint
	@scripts/lint

format: ## Format every C file
	@clang-format-14 -i $$(git ls-files '*.c' '*.h')

tidy: ## clang-tidy alone
	@scripts/lint tidy

tree: ## Print who includes whom; fail on an arrow that points up
	@scripts/tree

coverage: ## Unit-test line coverage of src/
	@$(MAKE) --no-print-directory BUILD=coverage tests-built
	@for t in build/coverage/tests/unit/*/test_*; do case $$t in *.o|*.d|*.gcno|*.gcda) ;; *) $$t >/dev/null 2>&1;; esac; done; true
	@cd build/coverage && find . -name '*.gcda' -path './src/*' -printf '%P\n' | xargs -r gcov -n -r -s $(CURDIR) 2>/dev/null | grep -A1 "^File 'src/" | grep -v '^--'

valgrind: ## Unit tests under valgrind
	@$(MAKE) --no-print-directory BUILD=coverage tests-built
	@set -e; for t in $(filter-out %test_sandbox,$(patsubst %.c,build/coverage/%,$(wildcard tests/unit/*/test_*.c))); do echo $$t; valgrind -q --error-exitcode=9 --leak-check=full $$t >/dev/null; done

compdb: ## compile_commands.json for editors
	@$(MAKE) --no-print-directory -n -B V=1 all BUILD=debug | scripts/compdb > compile_commands.json

install: all ## Install programs, man pages, systemd units (DESTDIR, PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/doc/postern
	install -m 755 $(PROGRAMS:%=$(B)/bin/%) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(wildcard docs/man/*.8) $(DESTDIR)$(PREFIX)/share/man/man8/
	for unit in $(wildcard deploy/systemd/*.service deploy/systemd/*.socket); do sed 's|/usr/local/bin|$(PREFIX)/bin|' $$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$(basename $$unit); done
	cp -r deploy $(DESTDIR)$(PREFIX)/share/doc/postern/

uninstall: ## Remove what install put there
	rm -f $(PROGRAMS:%=$(DESTDIR)$(PREFIX)/bin/%) $(patsubst docs/man/%,$(DESTDIR)$(PREFIX)/share/man/man8/%,$(wildcard docs/man/*.8))
	rm -f $(patsubst deploy/systemd/%,$(DESTDIR)$(PREFIX)/lib/systemd/system/%,$(wildcard deploy/systemd/*.service deploy/systemd/*.socket))
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/postern

dist: ## A source archive of HEAD in build/
	@mkdir -p build; git archive --format=tar.gz --prefix=postern-$(shell cat VERSION)/ -o build/postern-$(shell cat VERSION).tar.gz HEAD

clean: ## Remove build/
	rm -rf build compile_commands.json

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | column -t -s '|'
	@echo "  BUILD=release|debug|tsan chooses the build; V=1 shows commands; WERROR=1 makes warnings errors."

-include $(shell find $(B) build/fuzz -name '*.d' 2>/dev/null)
