# Postern: `make help` lists what there is.
BUILD ?= release
B     := build/$(BUILD)
CC    ?= gcc
PKGS  := libssl libcrypto libcares libseccomp
CFLAGS_release := -O2 -flto=auto -D_FORTIFY_SOURCE=3
CFLAGS_debug   := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual -Wcast-align -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference -Wdouble-promotion -Wframe-larger-than=16384 -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wformat-signedness
HARDENING := -fno-common -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE -fno-strict-aliasing -fno-delete-null-pointer-checks -ftrivial-auto-var-init=zero
CFLAGS := -std=gnu17 -D_GNU_SOURCE $(WARNINGS) $(HARDENING) -Isrc -Iinclude -MMD -MP $(shell pkg-config --cflags $(PKGS)) $(CFLAGS_$(BUILD))
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack
LDLIBS := $(shell pkg-config --libs $(PKGS)) -pthread
SRCS := $(filter-out src/programs/%,$(wildcard src/*/*.c src/*/*/*.c))
PROGRAMS := $(patsubst src/programs/%.c,%,$(wildcard src/programs/*.c))
TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*/test_*.c))

all: $(PROGRAMS:%=$(B)/bin/%)
	@mkdir -p build; ln -sfn $(BUILD)/bin build/bin
$(B)/libpostern.a: $(SRCS:%.c=$(B)/%.o)
	@rm -f $@; gcc-ar rcs $@ $^
$(B)/%.o: %.c
	@mkdir -p $(@D); echo "  CC  $<"; $(CC) $(CFLAGS) -c -o $@ $<
$(B)/bin/%: $(B)/src/programs/%.o $(B)/libpostern.a
	@mkdir -p $(@D); echo "  LD  $@"; $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libpostern.a
	@mkdir -p $(@D); $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
.PRECIOUS: $(B)/%.o
-include $(shell find $(B) -name '*.d' 2>/dev/null)
