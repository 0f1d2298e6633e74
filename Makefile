# Builds Fovea: the library, the program, the tests. `make help` names the targets.
#
# Nothing is listed by hand: a file put into src/, app/cli/, tests/ or bench/ is found by its place.
# The folder decides how it is compiled: src/kernels is optimised harder, and a file in
# src/kernels/cpu whose name holds an instruction set (avx2, avx512, neon) gets that set's flags and
# is left out elsewhere. Everything else is baseline, so one program runs on every processor.
#
# The trap: the order of floating-point operations is a promise (equal seeds give equal bits), hence
# -ffp-contract=off and no -ffast-math anywhere. Kernels that want fused multiply-adds say so.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

# ---- What a person may set -------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := cc
endif
ifeq ($(origin AR),default)
AR := ar
endif
PKG_CONFIG ?= pkg-config
# CROSS=aarch64-linux-gnu- builds for that machine, with its libraries where Debian puts them.
CROSS ?=
ifneq ($(CROSS),)
TRIPLE := $(CROSS:%-=%)
CC := $(CROSS)gcc
AR := $(CROSS)ar
PKG_CONFIG := PKG_CONFIG_LIBDIR=/usr/lib/$(TRIPLE)/pkgconfig $(PKG_CONFIG)
endif
PREFIX ?= /usr/local
SECONDS ?= 60
HOURS ?= 1
SAN ?=
STRESS ?=
WERROR ?=
LIBFUZZER ?=
COVER ?=

# A variant has a folder of its own, so that switching does not rebuild everything.
ifneq ($(CROSS),)
BUILD ?= build/$(TRIPLE)
else ifneq ($(LIBFUZZER),)
BUILD ?= build/libfuzzer
SAN := address,undefined
else ifneq ($(COVER),)
BUILD ?= build/cover
SAN := address,undefined
else ifneq ($(findstring thread,$(SAN)),)
BUILD ?= build/tsan
else ifneq ($(SAN),)
BUILD ?= build/$(if $(STRESS),stress-)asan
else ifneq ($(STRESS),)
BUILD ?= build/stress
else
BUILD ?= build
endif

ifeq ($(SAN),)
OPT ?= -O2
KERNEL_OPT ?= -O3
else
# At -O2 gcc takes minutes for the sanitized kernels of one instruction set.
OPT ?= -O1
KERNEL_OPT ?= -O1
endif

# Tests that start threads: what `make test-san` runs under ThreadSanitizer.
TSAN_TESTS := base/pool base/mem kernels/% train/% index/% infer/% api/% server/%

# ---- Flags -----------------------------------------------------------------------------------

PKGS := libutf8proc libpcre2-8 jansson zlib
SERVER_PKGS := libmicrohttpd
PULL_PKGS := libcurl
TEST_PKGS := cmocka
# Goals that compile nothing ask for no libraries.
ifneq ($(filter-out help clean check-layers check-style,$(or $(MAKECMDGOALS),all)),)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null || echo missing)
ifeq ($(PKG_LIBS),missing)
$(error pkg-config does not find all of: $(PKGS). `./run build` installs them; docs/dependencies.md says what they are for)
endif
endif
SERVER_LIBS = $(shell $(PKG_CONFIG) --libs $(SERVER_PKGS) 2>/dev/null || echo -lmicrohttpd)
PULL_LIBS = $(shell $(PKG_CONFIG) --libs $(PULL_PKGS) 2>/dev/null || echo -lcurl)
TEST_LIBS = $(shell $(PKG_CONFIG) --libs $(TEST_PKGS) 2>/dev/null || echo -lcmocka)

VERSION := $(shell sed -n 's/^.define FV_VERSION "\(.*\)"/\1/p' include/fovea.h)
SO_MAJOR := $(firstword $(subst ., ,$(VERSION)))
MACHINE := $(shell $(CC) -dumpmachine)
X86 := $(filter x86_64-% amd64-%,$(MACHINE))
ARM := $(filter aarch64-% arm64-%,$(MACHINE))
DARWIN := $(findstring darwin,$(MACHINE))

, := ,
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes $(if $(WERROR),-Werror)
BASE_FLAGS := -std=gnu11 -D_GNU_SOURCE -g -ffp-contract=off -fno-math-errno -fPIC -fvisibility=hidden \
    -ffunction-sections -fdata-sections -fstack-protector-strong -pthread $(WARNINGS)
FLAGS := $(BASE_FLAGS) $(if $(STRESS),-DFV_STRESS)
LINK := -pthread $(if $(DARWIN),-Wl$(,)-dead_strip,-Wl$(,)--gc-sections -Wl$(,)--as-needed)
ifneq ($(SAN),)
FLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK += -fsanitize=$(SAN)
endif
ifneq ($(LIBFUZZER),)
FLAGS += -fsanitize=fuzzer-no-link
endif
INCLUDES := -Iinclude -Isrc -I$(BUILD)/gen
LIBS := $(PKG_LIBS) -lm

# ---- What there is ---------------------------------------------------------------------------

# A file that others include as a body (NAME.inc.c) is no unit of its own.
LIB_SRC := $(filter-out %.inc.c,$(sort $(wildcard src/*/*.c src/*/*/*.c)))
ifeq ($(X86),)
LIB_SRC := $(foreach f,$(LIB_SRC),$(if $(findstring /cpu/avx,$(f)),,$(f)))
endif
ifeq ($(ARM),)
LIB_SRC := $(foreach f,$(LIB_SRC),$(if $(findstring /cpu/neon,$(f)),,$(f)))
endif
APP_SRC := $(sort $(wildcard app/cli/*.c app/hub/*.c))
PULL_SRC := $(sort $(wildcard app/pull/*.c))
SERVER_SRC := $(sort $(wildcard app/server/*.c))
ALL_TEST_SRC := $(sort $(wildcard tests/*/*.c tests/*/*/*.c))
TEST_SRC := $(filter %_test.c,$(ALL_TEST_SRC))
FUZZ_SRC := $(filter tests/fuzz/%_fuzz.c,$(ALL_TEST_SRC))
# What tests share: every other C file there. Linked as a library, so that each takes what it needs.
SUPPORT_SRC := $(filter-out $(TEST_SRC) tests/fuzz/% tests/golden/%,$(ALL_TEST_SRC))
BENCH_SRC := $(sort $(wildcard bench/*.c))

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ := $(call objects,$(LIB_SRC)) $(BUILD)/obj/gen/op_table.o
APP_OBJ := $(call objects,$(APP_SRC))
SERVER_OBJ := $(call objects,$(SERVER_SRC))
PULL_OBJ := $(call objects,$(PULL_SRC))
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SRC))
FUZZERS := $(patsubst tests/fuzz/%_fuzz.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
BENCHES := $(patsubst bench/%.c,$(BUILD)/bench/%,$(BENCH_SRC))
GEN := $(BUILD)/gen/ops.h
STATIC := $(BUILD)/libfovea.a
SHARED := $(BUILD)/libfovea.so
APP_LIB := $(BUILD)/obj/app/libcli.a
SERVER_LIB := $(BUILD)/obj/app/libserver.a
PULL_LIB := $(BUILD)/obj/app/libpull.a
SUPPORT_LIB := $(BUILD)/obj/tests/libsupport.a

# ---- Targets for people ----------------------------------------------------------------------

all: $(STATIC) $(SHARED) $(BUILD)/fovea $(BUILD)/fovea-serve $(BUILD)/fovea-pull ## the library, the program and its two helpers, into build/
.DEFAULT_GOAL := all

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24
	@echo 'Variants: SAN=address,undefined | SAN=thread | STRESS=1 (tiny tiles and buffers) | WERROR=1 | CC=clang | CROSS=aarch64-linux-gnu-'
	@echo 'Each variant has its folder (build/asan, build/tsan, build/stress, build/aarch64-linux-gnu); BUILD=FOLDER sets another.'

test: ## the quick tests, about a minute
	@tools/run-tests layers style unit shell

test-san: ## all unit tests under AddressSanitizer and UBSan, threaded ones under ThreadSanitizer
	@tools/run-tests asan tsan

test-all: ## everything, hardening and the stress build included, HOURS=1 in all; records the result in tests/last-run.tsv
	@HOURS=$(HOURS) tools/run-tests all

test-arm: ## kernels and ops on ARM: cross-compiled, run by qemu-user; skipped where these are missing
	@tools/run-tests arm

check-layers: ## every include against tools/layers.txt
	@tools/check-layers

check-style: ## file lengths, banned calls, leftovers
	@tools/check-style

fuzz: ## every fuzzer for SECONDS=60 each, under sanitizers (CC=clang LIBFUZZER=1: by libFuzzer)
	@FUZZ_SECONDS=$(SECONDS) LIBFUZZER=$(LIBFUZZER) tools/run-tests fuzz

bench: all $(BENCHES) ## the benchmarks, bench/run
	@bench/run $(BUILD)/fovea

tests: $(TESTS) ## builds the test programs without running them
fuzzers: $(FUZZERS) ## builds the fuzzers without running them

clean: ## removes BUILD
	rm -rf $(BUILD)

.PHONY: all help test test-san test-all test-arm check-layers check-style fuzz bench tests fuzzers clean install docs tsan-tests list-tsan-tests FORCE

# For tools/run-tests: what to build and run under ThreadSanitizer.
TSAN_PROGRAMS := $(filter $(foreach t,$(TSAN_TESTS),$(BUILD)/tests/$(t)_test),$(TESTS))
tsan-tests: $(TSAN_PROGRAMS)
list-tsan-tests:
	@printf '%s\n' $(TSAN_PROGRAMS)

# ---- Compiling -------------------------------------------------------------------------------

write_if_changed = @mkdir -p $(@D); echo '$(strip $(1))' | cmp -s - $@ || echo '$(strip $(1))' > $@

# Objects depend on this file, which changes when the flags do: another compiler or another flag
# rebuilds, and nothing else does.
STAMP := $(BUILD)/flags
ALL_FLAGS := $(CC) $(FLAGS) $(OPT) $(KERNEL_OPT) $(CPPFLAGS) $(CFLAGS) $(PKG_CFLAGS) $(LINK) $(LDFLAGS)
$(STAMP): FORCE
	$(call write_if_changed,$(ALL_FLAGS))

# Pages are packed into the program as strings.
$(BUILD)/gen/page/%.h: app/page/%.html
	@mkdir -p $(@D); sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $< > $@
$(BUILD)/obj/app/cli/reasons_page.o: $(BUILD)/gen/page/reasons.h

# Ops declare themselves: their files are read and a header and a table written. Always run (it takes
# milliseconds) but the files keep their time when nothing changed.
$(GEN): FORCE
	@tools/gen-ops src/ops $(BUILD)/gen
$(BUILD)/gen/op_table.c: $(GEN) ;

# Where it schedules before it allocates registers, gcc runs out of them in a product's tile: it does so on
# ARM by default, on x86 not. Clang does not know the flag.
NEON_FLAGS := $(if $(ARM),$(if $(findstring clang,$(shell $(CC) --version)),,-fno-schedule-insns))
isa_flags = $(if $(findstring /cpu/avx512,$(1)),-mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma) \
    $(if $(findstring /cpu/avx512_bf16,$(1)),-mavx512bf16) $(if $(findstring /cpu/avx512_vnni,$(1)),-mavx512vnni) \
    $(if $(findstring /cpu/avx2,$(1)),-mavx2 -mfma) $(if $(findstring /cpu/neon,$(1)),$(NEON_FLAGS))

say = @mkdir -p $(@D); echo '$(1) $@'; $(if $(V),set -x;)
# Loaders are fuzzed, not arithmetic, whose sanitized compilation takes minutes.
unsanitized = $(if $(COVER)$(LIBFUZZER),-fno-sanitize=all)
# For our fuzzing driver (COVER=1) the library, and nothing else, reports the places that it reaches.
cover = $(if $(COVER),$(if $(filter-out src/kernels/%,$(filter src/%,$(1))),-fsanitize-coverage=trace-pc))

compile = $(call say,cc) $(CC) $(FLAGS) $(OPT) $(2) $(call cover,$(1)) $(INCLUDES) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $(1) -o $@

$(BUILD)/obj/src/kernels/%.o: src/kernels/%.c $(STAMP) | $(GEN)
	$(call compile,$<,$(KERNEL_OPT) $(unsanitized) $(call isa_flags,$<))
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c $(STAMP) | $(GEN)
	$(call compile,$<)
$(BUILD)/obj/tests/%.o: tests/%.c $(STAMP) | $(GEN)
	$(call compile,$<,-Iapp -Itests)
$(BUILD)/obj/app/%.o: app/%.c $(STAMP) | $(GEN)
	$(call compile,$<,-Iapp)
$(BUILD)/obj/%.o: %.c $(STAMP) | $(GEN)
	$(call compile,$<)

# ---- Linking ---------------------------------------------------------------------------------

archive = $(call say,ar) rm -f $@; $(AR) rcs $@ $(filter %.o,$^)
link = $(call say,ld) $(CC) $(OPT) $(filter %.o,$^) $(filter %.a,$^) $(LINK) $(LDFLAGS) $(1) $(LIBS) -o $@

APP_LIB_OBJ := $(filter-out %/main.o,$(APP_OBJ))
SERVER_LIB_OBJ := $(filter-out %/main.o,$(SERVER_OBJ))
PULL_LIB_OBJ := $(filter-out %/main.o,$(PULL_OBJ))
SUPPORT_OBJ := $(call objects,$(SUPPORT_SRC))

$(STATIC): $(LIB_OBJ) $(STATIC).list
	$(archive)
$(APP_LIB): $(APP_LIB_OBJ) $(APP_LIB).list
	$(archive)
$(SERVER_LIB): $(SERVER_LIB_OBJ) $(SERVER_LIB).list
	$(archive)
$(PULL_LIB): $(PULL_LIB_OBJ) $(PULL_LIB).list
	$(archive)
$(SUPPORT_LIB): $(SUPPORT_OBJ) $(SUPPORT_LIB).list
	$(archive)
# What an archive is made of: a file taken away changes it too.
$(STATIC).list: FORCE
	$(call write_if_changed,$(LIB_OBJ))
$(APP_LIB).list: FORCE
	$(call write_if_changed,$(APP_LIB_OBJ))
$(SERVER_LIB).list: FORCE
	$(call write_if_changed,$(SERVER_LIB_OBJ))
$(PULL_LIB).list: FORCE
	$(call write_if_changed,$(PULL_LIB_OBJ))
$(SUPPORT_LIB).list: FORCE
	$(call write_if_changed,$(SUPPORT_OBJ))

# Undefined symbols are an error, except where a sanitizer's runtime comes with the program.
$(SHARED): $(LIB_OBJ) $(STATIC).list
	$(call link,-shared $(if $(DARWIN),-Wl$(,)-install_name$(,)@rpath/libfovea.so.$(SO_MAJOR),-Wl$(,)-soname$(,)libfovea.so.$(SO_MAJOR) $(if $(SAN),,-Wl$(,)-z$(,)defs)))

$(BUILD)/fovea: $(APP_OBJ) $(STATIC)
	$(call link)
# A program of its own, so that the other commands start without libmicrohttpd: docs/decisions.md has the figures.
$(BUILD)/fovea-serve: $(filter %/main.o,$(SERVER_OBJ)) $(SERVER_LIB) $(APP_LIB) $(STATIC)
	$(call link,$(SERVER_LIBS))

# So it is with libcurl.
$(BUILD)/fovea-pull: $(filter %/main.o,$(PULL_OBJ)) $(PULL_LIB) $(APP_LIB) $(STATIC)
	$(call link,$(PULL_LIBS))

# A hub of the test speaks by libmicrohttpd.
$(BUILD)/tests/pull/%: $(BUILD)/obj/tests/pull/%.o $(SUPPORT_LIB) $(PULL_LIB) $(APP_LIB) $(STATIC)
	$(call link,$(TEST_LIBS) $(PULL_LIBS) $(SERVER_LIBS))

$(BUILD)/tests/server/%: $(BUILD)/obj/tests/server/%.o $(SUPPORT_LIB) $(SERVER_LIB) $(APP_LIB) $(STATIC)
	$(call link,$(TEST_LIBS) $(SERVER_LIBS))

# A folder of tests may need the program's files (tests/cli) as well as the library's.
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(SUPPORT_LIB) $(APP_LIB) $(STATIC)
	$(call link,$(TEST_LIBS))

ifneq ($(LIBFUZZER),)
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%_fuzz.o $(SUPPORT_LIB) $(SERVER_LIB) $(APP_LIB) $(STATIC)
	$(call link,-fsanitize=fuzzer)
else
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%_fuzz.o $(BUILD)/obj/tests/fuzz/driver.o $(SUPPORT_LIB) $(SERVER_LIB) $(APP_LIB) $(STATIC)
	$(call link)
endif

$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(STATIC)
	$(call link)

# Objects that only pattern rules mention are kept. (A bare .SECONDARY would switch FORCE off.)
.SECONDARY: $(call objects,$(ALL_TEST_SRC) $(BENCH_SRC))

# ---- Installing ------------------------------------------------------------------------------

# The program prints its own page and completions, from the table that --help reads.
docs: $(BUILD)/gen/fovea.1
$(BUILD)/gen/fovea.1: $(BUILD)/fovea
	@$(BUILD)/fovea help --man > $@
	@for shell in bash zsh fish; do $(BUILD)/fovea help --completion $$shell > $(BUILD)/gen/fovea.$$shell || exit 1; done

$(BUILD)/fovea.pc: fovea.pc.in include/fovea.h FORCE
	@sed 's|@PREFIX@|$(abspath $(PREFIX))|; s|@VERSION@|$(VERSION)|; s|@PKGS@|$(PKGS)|' fovea.pc.in > $@

ROOT := $(DESTDIR)$(PREFIX)
install: all docs $(BUILD)/fovea.pc ## program, library, header, pkg-config file, man page, completions under PREFIX=/usr/local
	install -d $(ROOT)/bin $(ROOT)/include $(ROOT)/lib/pkgconfig $(ROOT)/share/man/man1 \
	    $(ROOT)/share/bash-completion/completions $(ROOT)/share/zsh/site-functions $(ROOT)/share/fish/vendor_completions.d
	install -m 755 $(BUILD)/fovea $(BUILD)/fovea-serve $(BUILD)/fovea-pull $(ROOT)/bin/
	-strip $(ROOT)/bin/fovea $(ROOT)/bin/fovea-serve $(ROOT)/bin/fovea-pull
	install -m 644 include/fovea.h $(ROOT)/include/fovea.h
	install -m 644 $(STATIC) $(ROOT)/lib/libfovea.a
	install -m 755 $(SHARED) $(ROOT)/lib/libfovea.so.$(VERSION)
	ln -sf libfovea.so.$(VERSION) $(ROOT)/lib/libfovea.so.$(SO_MAJOR)
	ln -sf libfovea.so.$(SO_MAJOR) $(ROOT)/lib/libfovea.so
	install -m 644 $(BUILD)/fovea.pc $(ROOT)/lib/pkgconfig/fovea.pc
	install -m 644 $(BUILD)/gen/fovea.1 $(ROOT)/share/man/man1/fovea.1
	install -m 644 $(BUILD)/gen/fovea.bash $(ROOT)/share/bash-completion/completions/fovea
	install -m 644 $(BUILD)/gen/fovea.zsh $(ROOT)/share/zsh/site-functions/_fovea
	install -m 644 $(BUILD)/gen/fovea.fish $(ROOT)/share/fish/vendor_completions.d/fovea.fish

-include $(shell [ -d $(BUILD)/obj ] && find $(BUILD)/obj -name '*.d')
