# Nydus. `make run` and `make test` install what they need; `make help` lists the rest.
# Knobs: V=1 (show commands), WERROR=1, SANITIZER=address,undefined, CC, CFLAGS, LDFLAGS,
# SPEC=spec/…_spec.lua (for test), FUZZ_SECONDS, PREFIX, DESTDIR.

CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
SPEC ?= spec
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wwrite-strings $(if $(WERROR),-Werror)
PACKAGES := luajit hiredis libcares nettle zlib libxxhash
Q := $(if $(V),,@)
JOBS := $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
MAKE_ALL = $(MAKE) --no-print-directory $(JOBS) all

# One folder of objects per kind of build, so that none disturbs another.
comma := ,
B := build$(if $(SANITIZER),/san-$(subst $(comma),-,$(SANITIZER)))
ifdef SANITIZER
SAN := -fsanitize=$(SANITIZER) -fno-omit-frame-pointer -fno-sanitize-recover=undefined -Wno-format-truncation
endif

# -fno-semantic-interposition: nobody puts functions of the same name in front of ours, so that the compiler
# may inline them although the objects are also for libnydus.so.
OURS := -std=gnu11 -D_GNU_SOURCE -Isrc $(WARN) -fPIC -fno-semantic-interposition -fvisibility=default $(SAN) \
	$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lev -lm
SOURCES := $(wildcard src/*/*.c src/*/*/*.c) src/main.c
OBJECTS := $(SOURCES:src/%.c=$(B)/obj/%.o)
LIB_OBJECTS := $(filter-out $(B)/obj/main.o,$(OBJECTS))
# The file that names NYDUS_LUA_DIR is compiled again when PREFIX changes; the others are not.
PREFIXED := $(patsubst src/%.c,$(B)/obj/%.o,$(shell grep -ls NYDUS_LUA_DIR $(SOURCES)))

all: $(B)/nydus $(B)/libnydus.so

$(B)/nydus: $(OBJECTS) $(B)/link
	@echo LINK $@
	$(Q)$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,-E -o $@ $(OBJECTS) $(LIBS)

$(B)/libnydus.so: $(LIB_OBJECTS) $(B)/link
	@echo LINK $@
	$(Q)$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -shared -o $@ $(LIB_OBJECTS) $(LIBS)

$(B)/obj/%.o: src/%.c $(B)/flags
	@echo CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(OURS) $(DEFINES) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(PREFIXED): $(B)/prefix
$(PREFIXED): DEFINES = -DNYDUS_LUA_DIR='"$(PREFIX)/share/nydus/lua"'

# Stamps that change only when what they hold does.
stamp = @mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
$(B)/flags: FORCE
	@pkg-config --exists $(PACKAGES) || { echo 'libraries are missing: .ci/setup run installs them' >&2; exit 1; }
	$(call stamp,$(CC) $(OURS) $(CPPFLAGS) $(CFLAGS))
$(B)/link: FORCE
	$(call stamp,$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) $(LIBS) $(SOURCES))
$(B)/prefix: FORCE
	$(call stamp,$(PREFIX))

run:
	@.ci/setup run
	@$(MAKE_ALL)
	@.ci/run-demo

test:
	@.ci/setup test
	@$(MAKE_ALL)
	@NYDUS_BIN=$(B)/nydus NYDUS_LIB=$(B)/libnydus.so SANITIZER=$(SANITIZER) CC='$(CC)' .ci/run-specs $(SPEC)

lint:
	@.ci/setup lint
	@CC='$(CC)' CHECK_FLAGS='$(OURS) -Werror -fsyntax-only -DNYDUS_LUA_DIR=""' .ci/run-lint $(SOURCES)

format:
	@.ci/setup lint
	$(Q)git clang-format --extensions c,h || true

bench:
	@.ci/setup bench
	@$(MAKE_ALL)
	@bench/run

# Every spec/fuzz/<name>_fuzz.c with all our objects, compiled by clang beside the others.
FUZZERS := $(patsubst spec/fuzz/%_fuzz.c,%,$(wildcard spec/fuzz/*_fuzz.c))
FUZZ_MAKE = $(MAKE) --no-print-directory $(JOBS) CC=clang B=build/fuzz \
	SAN='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'

fuzz:
	@.ci/setup fuzz
	@$(FUZZ_MAKE) $(FUZZERS:%=build/fuzz/%_fuzz)
	@.ci/run-fuzz $(FUZZ_SECONDS) $(FUZZERS)

build/fuzz/%_fuzz: spec/fuzz/%_fuzz.c $(LIB_OBJECTS)
	@echo FUZZ $@
	$(Q)$(CC) $(OURS) $(CFLAGS) -fsanitize=fuzzer -o $@ $< $(LIB_OBJECTS) $(LIBS)

install: all
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/lib/nydus" "$(DESTDIR)$(PREFIX)/share/doc/nydus"
	install -m 755 $(B)/nydus "$(DESTDIR)$(PREFIX)/bin/nydus"
	install -m 755 $(B)/libnydus.so "$(DESTDIR)$(PREFIX)/lib/nydus/libnydus.so"
	@cd lua && find . -name '*.lua' -exec install -D -m 644 {} "$(DESTDIR)$(PREFIX)/share/nydus/lua/{}" \;
	@cd routers && find . -name '*.lua' -exec install -D -m 644 {} "$(DESTDIR)$(PREFIX)/share/nydus/routers/{}" \;
	install -m 644 config.lua README.md LICENSE "$(DESTDIR)$(PREFIX)/share/doc/nydus/"

clean:
	rm -rf build

help:
	@echo 'make             build/nydus and build/libnydus.so'
	@echo 'make run         three redis-servers and Nydus in front of them, until Ctrl-C'
	@echo 'make test        every spec, or SPEC=spec/…_spec.lua; SANITIZER=address,undefined'
	@echo 'make lint        warnings of gcc and clang, luacheck; make format: the lines changed since the last commit'
	@echo 'make fuzz        each fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make bench       beside other proxies'
	@echo 'make install     PREFIX=$(PREFIX) DESTDIR='
	@echo 'make clean       removes build/'

-include $(OBJECTS:.o=.d)
FORCE:
.PHONY: all run test lint format bench fuzz install clean help FORCE
