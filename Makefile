# SPDX-License-Identifier: Apache-2.0
#
# make            builds bin/dshard and bin/dshard-fcgi
# make demo       shows the main job with real servers (KEEP=1 leaves them running,
#                 CONSUL=1 shows two frontends that agree)
# make test       all tests (SAN=1: under AddressSanitizer and UBSan)
# make torture    what takes long: outages in earnest, a million requests, large packages
# make bench      the figures of doc/performance.md, measured here (build/bench.json);
#                 DYNAMIC_SHARDING=/path/to/binary compares with that program, too
# make help       the other targets
#
# CC CPPFLAGS CFLAGS LDFLAGS LDLIBS PREFIX DESTDIR PKG_CONFIG are yours to set.

VERSION    := 0.1.0
PREFIX     ?= /usr/local
PKG_CONFIG ?= pkg-config
PYTHON     ?= /usr/bin/python3
CFLAGS     ?= -O2 -g

ifeq ($(origin CC),default)
CC := gcc
endif

FLAVOUR := $(if $(SAN),san,rel)$(if $(findstring clang,$(CC)),-clang)
BUILD   ?= build/$(FLAVOUR)
BIN     ?= $(if $(SAN)$(findstring clang,$(CC)),$(BUILD)/bin,bin)

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(CURDIR)/%,%,$(2))')

# ---- flags ---------------------------------------------------------------------------

PKGS_LIB  := libcurl jansson yaml-0.1
PKGS_FCGI := fcgi jansson
GOALS     := $(or $(MAKECMDGOALS),all)
# These goals must work before the libraries are installed.
NO_BUILD_GOALS := deps deps-test deps-demo clean help dist format demo test check torture bench
ifneq ($(filter-out $(NO_BUILD_GOALS),$(GOALS)),)
PKG_CFLAGS     := $(shell $(PKG_CONFIG) --cflags $(sort $(PKGS_LIB) $(PKGS_FCGI)))
LIBS_CLI       := $(shell $(PKG_CONFIG) --libs $(PKGS_LIB)) -lcrypt
LIBS_FCGI      := $(shell $(PKG_CONFIG) --libs $(PKGS_FCGI)) -pthread
LIBS_TEST      := $(LIBS_CLI) $(LIBS_FCGI) -lcmocka
# Some warnings are known to one compiler only.
WARN_EXTRA := $(shell for w in -Wjump-misses-init -Wlogical-op -Wduplicated-cond; do \
	$(CC) -Werror $$w -E -x c /dev/null >/dev/null 2>&1 && echo $$w; done)
endif

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wformat=2 \
	-Wswitch-enum -Wconversion $(WARN_EXTRA) $(if $(WERROR),-Werror)
# Without lazy binding (-z now) the table of jumps into libraries (PLT) is a detour.
HARDEN_CFLAGS  := -fstack-protector-strong -fPIE -fno-plt $(if $(SAN),,-D_FORTIFY_SOURCE=2)
HARDEN_LDFLAGS := -pie -Wl,-z,relro,-z,now
comma := ,
SAN_FLAGS      := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer)
DS_CPPFLAGS := -D_GNU_SOURCE -DDS_VERSION='"$(VERSION)"' -Iinclude $(PKG_CFLAGS)
DS_CFLAGS   := -std=c11 $(WARN) $(HARDEN_CFLAGS) $(SAN_FLAGS)
DS_LDFLAGS  := $(HARDEN_LDFLAGS) $(SAN_FLAGS) -Wl,--as-needed

COMPILE = $(CC) $(DS_CPPFLAGS) $(CPPFLAGS) $(DS_CFLAGS) $(CFLAGS)
LINK    = $(CC) $(DS_CFLAGS) $(CFLAGS) $(DS_LDFLAGS) $(LDFLAGS)

# ---- files ---------------------------------------------------------------------------

LIB_SRC  := $(filter-out src/main.c,$(sort $(wildcard src/*.c)))
CMD_SRC  := src/main.c $(sort $(wildcard src/cmd/*.c))
FCGI_SRC := $(sort $(wildcard fcgi/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))

LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o)
CMD_OBJ  := $(CMD_SRC:%.c=$(BUILD)/%.o)
FCGI_OBJ := $(FCGI_SRC:%.c=$(BUILD)/%.o)
UNIT     := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)

.PHONY: all unit bench bench-programs demo test torture check check-unit check-e2e lint deps deps-demo deps-test \
	install uninstall dist clean format help FORCE
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BIN)/dshard $(BIN)/dshard-fcgi
unit: $(UNIT)

# Rebuilds everything when the flags change.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(COMPILE) $(LINK)' | cmp -s - $@ || echo '$(COMPILE) $(LINK)' >$@

$(BUILD)/%.o: %.c $(BUILD)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/libdshard.a: $(LIB_OBJ)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJ)

# Everything of the handler but main, for the tests.
$(BUILD)/libdshard-fcgi.a: $(filter-out %/dshard-fcgi.o,$(FCGI_OBJ))
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BIN)/dshard: $(CMD_OBJ) $(BUILD)/libdshard.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LIBS_CLI) $(LDLIBS)

# No curl, no YAML: the handler starts fast and reads the state file and nothing else.
$(BIN)/dshard-fcgi: $(FCGI_OBJ) $(BUILD)/libdshard.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LIBS_FCGI) $(LDLIBS)

$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/libdshard-fcgi.a $(BUILD)/libdshard.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LIBS_TEST) $(LDLIBS)

# Allocations are counted in front of the C library.
$(BUILD)/bench/micro: private BENCH_LDFLAGS := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/libdshard-fcgi.a $(BUILD)/libdshard.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(BENCH_LDFLAGS) -o $@ $^ $(LIBS_CLI) $(LIBS_FCGI) $(LDLIBS)

bench-programs: all $(addprefix $(BUILD)/bench/,constant micro paced)

-include $(LIB_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(FCGI_OBJ:.o=.d) $(UNIT:$(BUILD)/tests/%=$(BUILD)/tests/unit/%.d) \
	$(wildcard $(BUILD)/tests/bench/*.d)

# ---- what people call ----------------------------------------------------------------

deps:
	@bin/install-deps build
deps-demo:
	@bin/install-deps build demo
deps-test:
	@bin/install-deps build demo test

demo: deps-demo
	$(if $(CONSUL),@bin/install-deps demo-consul && tests/get-consul >/dev/null)
	@$(MAKE) --no-print-directory all
	@DSHARD_BIN=$(abspath $(BIN)) bin/demo $(if $(CONSUL),--consul) $(if $(KEEP),--keep)

# Tests are built with warnings as errors.  The plain build (gcc) brings the unit tests of
# the clang and of the sanitizer build along.  The last line counts: N passed, N failed.
SUBMAKE := $(MAKE) --no-print-directory WERROR=1 $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
RUN     := $(PYTHON) tests/run --build $(BUILD) --bin $(BIN) $(if $(SAN),--san)
OTHERS  := $(if $(filter rel,$(FLAVOUR)),$(BUILD)-clang $(patsubst %/,%,$(dir $(BUILD)))/san)

test: deps-test
	@$(SUBMAKE) all unit
	$(if $(OTHERS),@$(SUBMAKE) CC=clang BUILD=$(firstword $(OTHERS)) unit)
	$(if $(OTHERS),@$(SUBMAKE) SAN=1 BUILD=$(lastword $(OTHERS)) unit)
	@$(RUN) $(OTHERS:%=--also %)

check-unit: unit
	@$(RUN) unit
check-e2e: all
	@$(RUN) e2e
lint: all
	@$(RUN) lint
check:
	@$(SUBMAKE) all unit
	@$(RUN)

# What takes long: outages of Consul in earnest, the handler under load for long (minutes),
# clients whose packages are large (Go, Java, npm).  Not part of make test.
torture: deps-test
	@bin/install-deps test-long
	@$(MAKE) --no-print-directory all WERROR=1
	@DSHARD_TEST_LONG=1 $(PYTHON) tests/run --build $(BUILD) --bin $(BIN) e2e

# Never fails because of a figure: it says which are missed.
bench:
	@bin/install-deps build demo bench
	@$(MAKE) --no-print-directory bench-programs
	@$(PYTHON) tests/bench/run --build $(BUILD) --bin $(BIN) $(BENCH)

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

install: all
	install -d $(DESTDIR)$(PREFIX)/bin \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 \
		$(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/doc/dshard/examples
	install -m 755 $(BIN)/dshard $(BIN)/dshard-fcgi $(DESTDIR)$(PREFIX)/bin/
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 644 man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 README.md CHANGELOG.md LICENSE doc/*.md \
		$(DESTDIR)$(PREFIX)/share/doc/dshard/
	cp -R examples/. $(DESTDIR)$(PREFIX)/share/doc/dshard/examples/

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/dshard $(DESTDIR)$(PREFIX)/bin/dshard-fcgi
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man1/,$(notdir $(wildcard man/*.1)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man5/,$(notdir $(wildcard man/*.5)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man8/,$(notdir $(wildcard man/*.8)))
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/dshard

dist:
	@mkdir -p build
	git archive --prefix=dshard-$(VERSION)/ -o build/dshard-$(VERSION).tar HEAD
	gzip -9nf build/dshard-$(VERSION).tar

clean:
	rm -rf build bin/dshard bin/dshard-fcgi

help:
	@sed -n 's/^# \(make .*\|                .*\)/\1/p' Makefile
	@echo 'make deps       installs what is missing to build (apt-get)'
	@echo 'make check-unit, check-e2e, lint   the parts of make test'
	@echo 'make install, uninstall, dist, format, clean'

# ---- fuzzing: make fuzz FUZZ_SECONDS=600 (needs clang; make unit replays the corpora) --

FUZZ_SECONDS ?= 60
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

$(BUILD)/fuzz/%: tests/fuzz/%.c $(LIB_SRC) $(filter-out %/dshard-fcgi.c,$(FCGI_SRC))
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)clang $(DS_CPPFLAGS) -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o $@ $^ $(LIBS_CLI) $(LIBS_FCGI)

# What it finds that is new stays under $(BUILD); the corpus in the tree is only read.
.PHONY: fuzz
fuzz: $(FUZZ)
	@for f in $(FUZZ); do \
		new=$$f.new name=$${f##*/fuzz_}; mkdir -p $$new; \
		$$f -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(BUILD)/fuzz/ \
			$$new tests/fuzz/corpus/$$name || exit 1; \
	done
