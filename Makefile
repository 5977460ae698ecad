# Postern. `make run` and `make test` are the two commands to know; `make help` lists the others.
#
# One file, no recursion into folders: every src/<folder>/*.c goes into one library, every file in
# src/programs/ becomes a program, every tests/unit/<folder>/test_*.c a test. Adding a file means adding
# a file. BUILD= selects one of the variants below, each in its own folder under build/:
#   release   what is installed          debug     AddressSanitizer and UBSan
#   tsan      ThreadSanitizer            valgrind  plain, for valgrind and debuggers
#   coverage  gcov                       fuzz      clang's libFuzzer with ASan and UBSan
#   library   libatls, for other programs
#   clang     what clang-14 has to say
# V=1 shows commands, WERROR=1 (or CI set) makes warnings errors, CC=clang-14 is the other compiler.

BUILD  ?= release
B      := build/$(BUILD)
PREFIX ?= /usr/local
T      ?=
TIME   ?= 60

BUILDS := release debug tsan valgrind coverage fuzz clang library
ifeq ($(filter $(BUILD),$(BUILDS)),)
$(error BUILD=$(BUILD) is none of: $(BUILDS))
endif

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
Q := $(if $(V),,@)
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

# --- compiler and flags ---------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := $(if $(filter fuzz clang,$(BUILD)),clang-14,gcc)
endif
CLANG := $(findstring clang,$(notdir $(CC)))
CPU   := $(shell uname -m)

# Expanded once, and only by a rule that compiles: pkg-config may not be there before the bootstrap.
PKGS := libssl libcrypto libcares libseccomp libcurl yaml-0.1
comma := ,
lazy = $(eval $(1) := $(2))$($(1))
PKG_CFLAGS = $(call lazy,PKG_CFLAGS,$(shell pkg-config --cflags $(PKGS)))
PKG_LIBS   = $(call lazy,PKG_LIBS,$(shell pkg-config --libs $(PKGS)) $(LIBSTDCXX) -lm)
# What toml++ needs of it, inside the one program that does: docs/decisions/034-toml.md. Sanitizers want the shared one.
LIBSTDCXX := $(if $(filter release,$(BUILD)),-Wl$(comma)-Bstatic -lstdc++ -Wl$(comma)-Bdynamic,-lstdc++)

# Sanitizers put red zones into frames.
FRAME_MAX := $(if $(filter debug tsan fuzz,$(BUILD)),65536,16384)
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wold-style-definition -Wpointer-arith -Wcast-qual -Wcast-align -Wwrite-strings -Wformat=2 \
            -Wundef -Wvla -Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference -Wdouble-promotion \
            -Wframe-larger-than=$(FRAME_MAX)
WARNINGS_gcc  := -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wformat-signedness
HARDENING     := -fno-common -fPIE -fno-strict-aliasing -fno-delete-null-pointer-checks \
                 -fstack-protector-strong -fstack-clash-protection -ffunction-sections -fdata-sections
# clang 14 takes this for an experiment and wants a flag that newer ones refuse.
HARDENING_gcc := -ftrivial-auto-var-init=zero
HARDENING    += $(if $(filter x86_64,$(CPU)),-fcf-protection)$(if $(filter aarch64,$(CPU)),-mbranch-protection=standard)

SANITIZE := -fno-sanitize-recover=all -fno-omit-frame-pointer
# clang's link-time optimisation needs a linker plug-in that Debian keeps elsewhere.
# Seen through link-time inlining, gcc takes every "false: nothing was written" for a use of what was not;
# the other builds look without it, and what is on the stack starts as zero.
OPTIMISE_release  := -O2 -Wno-maybe-uninitialized -D_FORTIFY_SOURCE=3 $(if $(CLANG),,-flto=auto -fno-fat-lto-objects)
OPTIMISE_debug    := -O1 -g -fsanitize=address,undefined $(SANITIZE)
OPTIMISE_tsan     := -O1 -g -fsanitize=thread $(SANITIZE)
OPTIMISE_valgrind := -O1 -g
OPTIMISE_clang    := -O1 -g
OPTIMISE_coverage := -O0 -g --coverage -fprofile-update=atomic
OPTIMISE_library  := -O2 -g1 -fPIC -fvisibility=hidden -D_FORTIFY_SOURCE=3
OPTIMISE_fuzz     := -O1 -g -fsanitize=fuzzer-no-link,address,undefined $(SANITIZE)

ifneq ($(CI)$(WERROR),)
WARNINGS += -Werror
endif
COMPILE = $(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) $(if $(CLANG),,$(WARNINGS_gcc)) $(HARDENING) \
          $(if $(CLANG),,$(HARDENING_gcc)) -Isrc -Iinclude $(PKG_CFLAGS) $(OPTIMISE_$(BUILD)) $(CFLAGS)
LINK    = $(COMPILE) -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed,--gc-sections $(LDFLAGS)
AR     := $(if $(CLANG),ar,gcc-ar)

# --- what there is --------------------------------------------------------------------------------

SRCS     := $(filter-out src/programs/% src/wasm/%,$(sort $(wildcard src/*/*.c src/ati/*/*.c)))
# The C++ of the tree, for libraries that are: behind headers in C, without exceptions and run-time types.
SRCS_CXX := $(sort $(wildcard src/ati/*/*.cc))
PROGRAMS := $(patsubst src/programs/%.c,%,$(wildcard src/programs/*.c))
UNITS    := $(patsubst %.c,%,$(sort $(wildcard tests/unit/*/test_*.c)))
# What runs under ThreadSanitizer: tests of code that threads share.
THREADED := $(filter %/test_loop %/test_sandbox %/test_log %/test_metrics %/test_worker %/test_guests %/test_roots %/test_mcp_server \
              %/test_quota %/test_audit_file \
              %/test_service %/test_exec_flight %/test_child_run %/test_child_talk %/test_child_helper,$(UNITS))
FUZZERS  := $(patsubst tests/fuzz/%.c,%,$(filter-out %/replay.c,$(sort $(wildcard tests/fuzz/*.c))))
DIFFS    := $(patsubst %.c,%,$(sort $(wildcard tests/diff/*.c)))
TOOLS    := $(patsubst %.c,%,$(sort $(wildcard tests/tools/*.c)))
SUPPORT  := $(sort $(wildcard tests/support/*.c))
ALL_C    := $(sort $(SRCS) $(wildcard src/programs/*.c tests/*/*.c tests/*/*/*.c bench/*.c))
HEADERS  := $(sort $(wildcard include/atls/*.h))
ALL_H    := $(sort $(HEADERS) $(wildcard src/*/*.h src/ati/*/*.h tests/*/*.h tests/*/*/*.h bench/*.h))
OBJECTS  := $(patsubst %.c,$(B)/%.o,$(filter-out bench/%,$(ALL_C))) $(SRCS_CXX:%.cc=$(B)/%.o)

# The parts that touch every byte.
HOT := $(filter src/ws/unmask.c src/ws/decode.c src/bridge/relay_%.c,$(SRCS))
$(HOT:%.c=build/release/%.o): private OPTIMISE_release += -O3

# VERSION and, away from a tag, the commit. Only what prints it is built again when it changes.
VERSION := $(shell cat VERSION)
LIBATLS_ABI := 1
COMMIT  := $(shell git describe --tags --exact-match --match 'v$(VERSION)' >/dev/null 2>&1 || \
             git describe --always --exclude '*' --dirty 2>/dev/null)
VERSION_TEXT := $(VERSION)$(if $(COMMIT),+g$(subst -dirty,.dirty,$(COMMIT)))
VERSIONED := $(shell grep -ls POSTERN_VERSION $(SRCS) $(wildcard src/programs/*.c))
$(VERSIONED:%.c=$(B)/%.o): private CFLAGS += -DPOSTERN_VERSION='"$(VERSION_TEXT)"'
$(VERSIONED:%.c=$(B)/%.o): $(B)/version

# --- building -------------------------------------------------------------------------------------

all: $(PROGRAMS:%=$(B)/bin/%) ## builds the programs; build/bin is a link to the release
ifeq ($(BUILD),release)
	@ln -sfn release/bin build/bin
endif

tests: all $(UNITS:%=$(B)/%) $(FUZZERS:%=$(B)/tests/fuzz/%) $(DIFFS:%=$(B)/%) $(TOOLS:%=$(B)/%)
unit: $(UNITS:%=$(B)/%)
threaded: $(THREADED:%=$(B)/%)
tools: $(TOOLS:%=$(B)/%)

# libatls: what include/atls declares, and nothing else, can be seen from outside. The static one is a single object whose inner
# names were made local, so that it meets no name of its user's.
LIBATLS     := build/library/libatls.so.$(LIBATLS_ABI)
LIBATLS_MAP := src/libatls/libatls.map
library: ## builds libatls, shared and static, in build/library
	@$(MAKE) BUILD=library $(LIBATLS) build/library/libatls.a

$(B)/libatls.so.$(LIBATLS_ABI): $(filter $(B)/src/libatls/%,$(SRCS:%.c=$(B)/%.o)) $(B)/libpostern.a $(LIBATLS_MAP)
	@echo "  LD  $@"
	$(Q)$(COMPILE) -shared -Wl,-soname,$(@F),--version-script=$(LIBATLS_MAP),-z,relro,-z,now,-z,noexecstack \
	  -Wl,--as-needed,--gc-sections,--no-undefined $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(PKG_LIBS) -pthread
	$(Q)ln -sfn $(@F) $(@D)/libatls.so

$(B)/libatls.a: $(filter $(B)/src/libatls/%,$(SRCS:%.c=$(B)/%.o)) $(B)/libpostern.a $(LIBATLS_MAP)
	@rm -f $@; echo "  AR  $@"
	$(Q)ld -r -o $(B)/libatls.o $(filter %.o %.a,$^)
	$(Q)sed -n 's/^\t\(atls_.*\);$$/\1/p' $(LIBATLS_MAP) >$(B)/libatls.names
	$(Q)objcopy --keep-global-symbols=$(B)/libatls.names $(B)/libatls.o
	$(Q)ar rcs $@ $(B)/libatls.o

# --- WebAssembly ----------------------------------------------------------------------------------

# The engines as a module for packages/atlas-wasm. OpenSSL comes from scripts/wasm-openssl; nothing here depends on the folder in
# which it is built, so that anybody gets the same bytes.
WASM := build/wasm
WASM_SRCS := $(sort $(wildcard src/attest/*.c src/atls/*.c src/http/*.c src/wasm/*.c) $(addprefix src/tls/,roots.c session.c tls_error.c) \
  $(addprefix src/base/,budget.c buf.c clock.c codec.c err.c json_grammar.c json_read.c json_write.c p256.c secret.c text.c))
WASM_OBJECTS := $(WASM_SRCS:%.c=$(WASM)/%.o)
WASM_OPENSSL = $(shell readlink -f $(WASM)/openssl)
WASM_FLAGS := --target=wasm32-wasi -nostdlibinc -isystem /usr/include/wasm32-wasi -std=gnu17 -D_GNU_SOURCE -Oz -mbulk-memory \
  -msign-ext -mnontrapping-fptoint -ffunction-sections -fdata-sections -ffile-prefix-map=$(CURDIR)=. \
  $(filter-out -Wcast-align -Wnull-dereference,$(WARNINGS)) -Isrc -Iinclude -isystem $(WASM)/include
WASM_LINK := -mexec-model=reactor -Wl,--gc-sections,--strip-all,--stack-first -Wl,-z,stack-size=1048576
WASM_OPT  := -O3 --enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int --enable-simd
wasm: ## builds build/wasm/atlas.wasm, the engines for browsers and Node.js, and roots.bin beside it
	@scripts/bootstrap build wasm
	@mkdir -p $(WASM)/include
	@openssl=$$(scripts/wasm-openssl); ln -sfn "$$openssl" $(WASM)/openssl; ln -sfn /usr/include/jsmn.h $(WASM)/include/jsmn.h
	@$(MAKE) $(WASM)/atlas.wasm $(WASM)/roots.bin
	@cd $(WASM) && sha256sum atlas.wasm roots.bin

# Everything that the module is made of, as one hash: it says so itself.
WASM_MADE_OF := $(sort $(WASM_SRCS) $(wildcard src/attest/*.h src/atls/*.h src/base/*.h src/http/*.h src/tls/*.h src/wasm/*.h include/atls/*.h))
$(WASM)/build.sha256: FORCE
	@mkdir -p $(@D); { cat $(WASM_MADE_OF); readlink $(WASM)/openssl | sed 's,.*/,,'; clang-14 --version | head -n 1; \
	  wasm-ld-14 --version; wasm-opt --version; echo '$(VERSION) $(subst $(CURDIR),,$(WASM_FLAGS)) $(WASM_LINK) $(WASM_OPT)'; } | sha256sum | cut -c1-64 >$@.new; cmp -s $@.new $@ || cp $@.new $@; rm $@.new
package: wasm ## builds packages/atlas-wasm/dist, the npm package
	@scripts/bootstrap package
	@rm -rf packages/atlas-wasm/dist; cd packages && npm run --silent build
	@cp $(WASM)/atlas.wasm $(WASM)/roots.bin packages/atlas-wasm/dist
	@scripts/package-integrity packages/atlas-wasm/dist

$(eval WASM_VERSIONED := $(shell grep -ls 'POSTERN_VERSION\|OPENSSL_SOURCE\|WASM_BUILD' $(WASM_SRCS)))
$(WASM_VERSIONED:%.c=$(WASM)/%.o): private WASM_DEFINES = -DPOSTERN_VERSION='"$(VERSION)"' \
  -DOPENSSL_SOURCE='"$(shell cat $(WASM)/openssl/source.sha256)"' -DWASM_BUILD='"$(shell cat $(WASM)/build.sha256)"'
$(WASM)/src/wasm/about.o: $(WASM)/build.sha256
$(WASM)/%.o: %.c $(WASM)/flags
	@mkdir -p $(@D); echo "  CC  $< (wasm)"
	$(Q)clang-14 $(WASM_FLAGS) $(WASM_DEFINES) -isystem $(WASM_OPENSSL)/include -isystem $(WASM_OPENSSL)/provider -MMD -MP -c -o $@ $<
$(WASM)/flags: FORCE
	@mkdir -p $(@D); printf '%s\n' '$(WASM_FLAGS) $(WASM_OPENSSL) $(VERSION)' | cmp -s - $@ || \
	  printf '%s\n' '$(WASM_FLAGS) $(WASM_OPENSSL) $(VERSION)' >$@
$(WASM)/atlas.wasm: $(WASM_OBJECTS)
	@echo "  LD  $@"
	$(Q)clang-14 --target=wasm32-wasi -B/usr/lib/llvm-14/bin $(WASM_LINK) -o $@.linked $^ $(WASM_OPENSSL)/libssl.a $(WASM_OPENSSL)/libcrypto.a -lwasi-emulated-getpid \
	  -lwasi-emulated-signal
	$(Q)wasm-opt $(WASM_OPT) -o $@ $@.linked
	$(Q)rm $@.linked
$(WASM)/roots.bin: scripts/embed-roots /usr/share/ca-certificates/mozilla
	@mkdir -p $(@D)
	$(Q)scripts/embed-roots --asset /usr/share/ca-certificates/mozilla >$@
-include $(wildcard $(WASM_OBJECTS:.o=.d))

# A file that changes when its text does: for flags, which make does not look at.
define stamp
$(B)/$(1): FORCE
	@mkdir -p $$(@D); printf '%s\n' '$$(subst ','\'',$(2))' | cmp -s - $$@ || printf '%s\n' '$$(subst ','\'',$(2))' >$$@
endef
$(eval $(call stamp,flags,$$(LINK) $$(COMPILE_CXX)))
$(eval $(call stamp,version,$$(VERSION_TEXT)))
$(eval $(call stamp,sources,$$(SRCS) $$(SRCS_CXX)))

# Tests may lay out whole resolvers and bridges on the stack.
$(B)/tests/%: private CFLAGS += -Itests -Wframe-larger-than=65536
# Its own malloc and kin come before libc's.
$(B)/tests/unit/ati/test_manifest_faults: private LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strndup
# Nobody declares LLVMFuzzerTestOneInput.
$(B)/tests/fuzz/%.o: private CFLAGS += -Wno-missing-prototypes

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D); echo "  CC  $<"
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# clang's check of function types wants the run-time types of C++.
COMPILE_CXX = $(if $(CLANG),$(CC:clang%=clang++%),g++) -std=gnu++17 -D_GNU_SOURCE -Wall -Wextra -fno-exceptions -fno-rtti -fno-common -fPIE \
              -fstack-protector-strong -ffunction-sections -fdata-sections -Isrc $(filter-out -flto% -fno-fat%,$(OPTIMISE_$(BUILD))) \
              $(if $(CLANG),-fno-sanitize=function) $(CXXFLAGS)
$(B)/%.o: %.cc $(B)/flags
	@mkdir -p $(@D); echo "  CXX $<"
	$(Q)$(COMPILE_CXX) -MMD -MP -c -o $@ $<

# Mozilla's roots, from Debian's package.
$(B)/generated/roots.c: scripts/embed-roots /usr/share/ca-certificates/mozilla
	@mkdir -p $(@D)
	$(Q)scripts/embed-roots /usr/share/ca-certificates/mozilla >$@
$(B)/generated/%.o: $(B)/generated/%.c $(B)/flags
	$(Q)$(COMPILE) -c -o $@ $<

$(B)/libpostern.a: $(SRCS:%.c=$(B)/%.o) $(SRCS_CXX:%.cc=$(B)/%.o) $(B)/generated/roots.o $(B)/sources
	@rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(B)/libsupport.a: $(SUPPORT:%.c=$(B)/%.o)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/bin/%: $(B)/src/programs/%.o $(B)/libpostern.a
	@mkdir -p $(@D); echo "  LD  $@"
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS) -pthread

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libsupport.a $(B)/libpostern.a
	@mkdir -p $(@D); echo "  LD  $@"
	$(Q)$(LINK) -o $@ $^ -lcmocka $(PKG_LIBS) -pthread

$(B)/tests/tools/%: $(B)/tests/tools/%.o $(B)/libsupport.a $(B)/libpostern.a
	@mkdir -p $(@D); echo "  LD  $@"
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS) -pthread

$(B)/tests/diff/%: $(B)/tests/diff/%.o $(B)/libsupport.a $(B)/libpostern.a
	@mkdir -p $(@D); echo "  LD  $@"
	$(Q)$(LINK) -o $@ $^ -lhttp_parser -lwslay -lcmocka $(PKG_LIBS) -pthread

# With libFuzzer in BUILD=fuzz, with a plain main that replays files in the others.
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(if $(filter fuzz,$(BUILD)),,$(B)/tests/fuzz/replay.o) \
                   $(B)/libsupport.a $(B)/libpostern.a
	@mkdir -p $(@D); echo "  LD  $@"
	$(Q)$(LINK) $(if $(filter fuzz,$(BUILD)),-fsanitize=fuzzer) -o $@ $^ $(PKG_LIBS) -pthread

.SECONDARY:
-include $(wildcard $(OBJECTS:.o=.d))

# --- running and testing --------------------------------------------------------------------------

run: ## builds, proves the bridge, attested TLS (natively and in WebAssembly) and the gateway, and serves a page that shows it; ONCE=1 ends after the proofs
	@scripts/bootstrap build
	@$(MAKE) all BUILD=release
	@$(MAKE) package
	@exec scripts/run-demo $(if $(ONCE),--once)

test: ## builds and runs all tests; T=unit|fuzz|diff|wasm|integration|browser|man selects
	@scripts/bootstrap build test
	@exec scripts/test-runner $(T)

bench: ## measures everything beside its peers and writes build/bench/report.md; ARGS=--quick for minutes
	@scripts/bootstrap build bench
	@$(MAKE) all BUILD=release
	@$(MAKE) package
	@exec bench/run $(ARGS)

fuzz: ## fuzzes T=<target> (or all in turn) for TIME=<seconds> each
	@scripts/bootstrap build fuzz
	@$(MAKE) BUILD=fuzz CC=clang-14 $(patsubst %,build/fuzz/tests/fuzz/%,$(or $(T),$(FUZZERS)))
	@exec scripts/fuzz $(TIME) $(or $(T),$(FUZZERS))

soak: ## runs the long tests that look for leaks and drift
	@scripts/bootstrap build test
	@$(MAKE) all tools BUILD=release
	@cd tests/soak && POSTERN_BIN=$(CURDIR)/build/release/bin exec /usr/bin/python3 -m pytest $(ARGS)

valgrind: ## runs the unit tests under valgrind
	@scripts/bootstrap build test lint
	@$(MAKE) unit BUILD=valgrind
	@exec scripts/test-runner valgrind

coverage: ## runs unit tests, fuzz corpora and integration tests for line coverage, by file
	@scripts/bootstrap build test
	@exec scripts/coverage

api-docs: ## writes docs/api/browser.md from the types of packages/atlas-wasm
	@exec scripts/api-docs

# --- looking after the source ---------------------------------------------------------------------

lint: ## formatting, includes, cppcheck, clang-tidy, shellcheck
	@scripts/bootstrap build test lint
	@$(MAKE) wasm compdb >/dev/null
	@exec scripts/lint $(T)

format: ## formats all C files
	@scripts/bootstrap lint
	$(Q)clang-format-14 -i $(ALL_C) $(ALL_H)

tidy: ## clang-tidy alone
	@scripts/bootstrap build test lint
	@$(MAKE) wasm compdb >/dev/null
	@exec scripts/lint tidy

tree: ## who includes whom, one line a pair; fails on an arrow that points up
	@exec scripts/tree

compdb: ## writes build/compile_commands.json for editors and analysers
	@$(MAKE) BUILD=clang build/compile_commands.json
build/compile_commands.json: FORCE
	@mkdir -p build
	@{ echo '['; sep=; for f in $(filter-out bench/%,$(ALL_C)); do \
	  printf '%s{"directory": "%s", "file": "%s", "command": "%s -c %s"}' "$$sep" '$(CURDIR)' "$$f" \
	    '$(filter-out -flto% -fno-fat%,$(COMPILE))' "$$f"; sep=$$',\n'; done; \
	  for f in $(wildcard src/wasm/*.c); do printf '%s{"directory": "%s", "file": "%s", "command": "%s -c %s"}' "$$sep" '$(CURDIR)' \
	    "$$f" 'clang-14 $(WASM_FLAGS) -DOPENSSL_SOURCE=0 -DWASM_BUILD=0 -isystem $(WASM)/openssl/include -isystem $(WASM)/openssl/provider' "$$f"; done; echo; echo ']'; } >$@.new; mv $@.new $@

# --- giving it away -------------------------------------------------------------------------------

BINDIR  := $(DESTDIR)$(PREFIX)/bin
MANDIR  := $(DESTDIR)$(PREFIX)/share/man
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd/system
DOCDIR  := $(DESTDIR)$(PREFIX)/share/doc/postern
LIBDIR  := $(DESTDIR)$(PREFIX)/lib
INCDIR  := $(DESTDIR)$(PREFIX)/include/atls
MAN     := $(sort $(wildcard docs/man/*.[1-8]))
SYSTEMD := $(sort $(wildcard deploy/*.service deploy/*.socket deploy/*/*.service deploy/*/*.socket))
EXAMPLES := $(filter-out $(SYSTEMD),$(shell find deploy examples \( -name node_modules -o -name site \) -prune -o -type f -print 2>/dev/null | sort))
SHAREDIR := $(DESTDIR)$(PREFIX)/share/postern
READY   := $(sort $(wildcard manifests/*.toml) manifests/README.md)
DOCS    := $(wildcard README.md CHANGELOG.md SECURITY.md LICENSE docs/*.md)

# Where each shell looks for words that a program of this prefix takes.
COMPLETIONS := bash:$(DESTDIR)$(PREFIX)/share/bash-completion/completions/ati zsh:$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ati \
               fish:$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ati.fish

install: ## installs programs, libatls, man pages, completions, systemd units, ready manifests and examples below DESTDIR and PREFIX
	@$(MAKE) all BUILD=release
	@for f in $(PROGRAMS); do install -Ds -m755 build/release/bin/$$f $(BINDIR)/$$f; done
	@for f in $(MAN); do install -D -m644 $$f $(MANDIR)/man$${f##*.}/$${f##*/}; done
	@for f in $(SYSTEMD); do install -d $(UNITDIR); \
	  sed 's,/usr/local/bin/,$(PREFIX)/bin/,; s,/usr/bin/atlas-,$(PREFIX)/bin/atlas-,' $$f >$(UNITDIR)/$${f##*/}; done
	@for f in $(COMPLETIONS); do install -d $$(dirname $${f#*:}); build/release/bin/ati completion $${f%%:*} >$${f#*:}; done
	@for f in $(DOCS); do install -D -m644 $$f $(DOCDIR)/$$f; done
	@for f in $(EXAMPLES); do g=$${f#deploy/}; install -D -m644 $$f $(DOCDIR)/examples/$${g#examples/}; done
	@for f in $(READY); do install -D -m644 $$f $(SHAREDIR)/$$f; done
	@$(MAKE) install-library

install-library: library
	@for f in $(HEADERS); do install -D -m644 $$f $(INCDIR)/$${f##*/}; done
	@install -Ds -m644 $(LIBATLS) $(LIBDIR)/$(notdir $(LIBATLS)); ln -sfn $(notdir $(LIBATLS)) $(LIBDIR)/libatls.so
	@install -D -m644 build/library/libatls.a $(LIBDIR)/libatls.a
	@install -d $(LIBDIR)/pkgconfig
	@sed 's,@PREFIX@,$(PREFIX),; s,@VERSION@,$(VERSION),' src/libatls/atls.pc.in >$(LIBDIR)/pkgconfig/atls.pc

uninstall: ## removes what install installed
	@rm -f $(PROGRAMS:%=$(BINDIR)/%) $(foreach f,$(MAN),$(MANDIR)/man$(subst .,,$(suffix $(f)))/$(notdir $(f)))
	@rm -f $(foreach f,$(SYSTEMD),$(UNITDIR)/$(notdir $(f))) $(foreach f,$(COMPLETIONS),$(lastword $(subst :, ,$(f))))
	@rm -rf $(DOCDIR) $(INCDIR) $(SHAREDIR)
	@rm -f $(LIBDIR)/libatls.so $(LIBDIR)/libatls.so.* $(LIBDIR)/libatls.a $(LIBDIR)/pkgconfig/atls.pc

dist: ## packs the committed sources into build/postern-VERSION.tar.gz
	@mkdir -p build
	@git archive --prefix=postern-$(VERSION)/ HEAD | gzip -9n >build/postern-$(VERSION).tar.gz
	@echo "build/postern-$(VERSION).tar.gz"

clean: ## removes what was built
	@rm -rf $(addprefix build/,$(BUILDS)) build/bin build/run build/test build/compile_commands.json build/*.tar.gz build/wasm packages/*/dist

help: ## prints this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done

FORCE:

.PHONY: wasm package api-docs all tests unit threaded tools run test bench fuzz soak valgrind coverage lint format tidy tree compdb \
        library install install-library uninstall dist clean help FORCE
