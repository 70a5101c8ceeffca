# dynamo_fdw: the daemon and tools (this file) and the extension (PGXS, in a
# sub-make: fdw/pgxs.mk, so that this file parses on a machine that has no
# pg_config yet).
#
#   make            build everything        make check       run every test
#   make install    install it              make installcheck  regression tests
#   make demo       a tour on real data     make demo-stop   stop what it started
#   make bench      figures beside postgres_fdw
#   make fuzz       libFuzzer on everything that decodes strangers' bytes
#   make fault      real nodes under real faults; ROUNDS=20 SEED=1 CLASS=pause
#   make soak HOURS=8  all that is drawn from seeds, mixed; make planted
#   make crash-images  power cuts at any moment of the store's work
#   STRICT=1        warnings are errors     SANITIZE=address,undefined
#
# `make deps` installs the Debian packages that are missing; every target that
# needs them runs it first.

VERSION   = 1.0
PREFIX   ?= /usr/local
PG_CONFIG ?= pg_config
CC        = gcc
OPT      ?= -O2 -g

B := build$(if $(SANITIZE),/sanitize)

WARN   = -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wswitch-enum \
         -Wvla -Wshadow -Wno-unused-parameter $(if $(STRICT),-Werror)
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE $(OPT) -fPIC -fno-omit-frame-pointer $(WARN) \
         $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all) $(CFLAGS)
CPPFLAGS_ALL = -Idynnode -I$(B)/gen -DDYN_VERSION='"$(VERSION)"' $(CPPFLAGS)
LIBS   = -lczmq -lzmq -llmdb -lprotobuf-c -lxxhash -lpthread -lm

objects = $(patsubst %.c,$(B)/%.o,$(wildcard $(1)/*.c))
MODEL_OBJS = $(call objects,dynnode/model) $(B)/gen/messages.pb-c.o
CORE_OBJS  = $(call objects,dynnode/core)
IO_OBJS    = $(call objects,dynnode/io) $(call objects,dynnode/io/store)
CTL_OBJS   = $(call objects,dynnode/ctl)
SIM_OBJS   = $(call objects,tests/sim)
SIM_STORE_OBJS = $(patsubst %.c,$(B)/%.o,$(wildcard tests/sim/simstore*.c tests/sim/simdisk*.c))
UNIT_TESTS = $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
TEST_PROGRAMS = $(patsubst %.c,$(B)/%,$(wildcard tests/cluster/*.c))
LIB_OBJS   = $(call objects,tests/lib)
ARCHIVES   = $(B)/libio.a $(B)/libcore.a $(B)/libmodel.a

PROGRAMS = $(B)/dynnode/dynnode $(B)/dynnode/dynctl

# Sub-makes use all cores unless -j was said.
PARALLEL = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 1))

all: deps
	$(MAKE) $(PARALLEL) daemon
	$(MAKE) $(PARALLEL) extension

daemon: $(PROGRAMS)

deps:
	@tests/lib/deps.sh

$(B)/gen/messages.pb-c.c $(B)/gen/messages.pb-c.h &: dynnode/model/messages.proto
	@mkdir -p $(B)/gen
	protoc-c --c_out=$(B)/gen --proto_path=dynnode/model $<

$(B)/gen/messages.pb-c.o: $(B)/gen/messages.pb-c.c
	$(CC) $(CFLAGS_ALL) $(CPPFLAGS_ALL) -c -o $@ $<

$(B)/%.o: %.c | $(B)/gen/messages.pb-c.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(CPPFLAGS_ALL) $(if $(filter tests/%,$<),-I. -Itests -Itests/lib) -MMD -MP -c -o $@ $<

$(B)/libmodel.a: $(MODEL_OBJS)
$(B)/libcore.a: $(CORE_OBJS)
$(B)/libio.a: $(IO_OBJS)
$(B)/lib%.a:
	rm -f $@
	$(AR) rcs $@ $^

$(B)/dynnode/%: $(B)/dynnode/%.o $(ARCHIVES)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(filter %.o,$^) $(ARCHIVES) $(LIBS)

$(B)/dynnode/dynctl: $(CTL_OBJS)

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(LIB_OBJS) $(SIM_LIB_OBJS) $(ARCHIVES)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(filter %.o,$^) $(ARCHIVES) -lcmocka $(LIBS)

# The simulated store is tested beside LMDB's.
$(B)/tests/unit/test_store_conformance: $(SIM_STORE_OBJS) $(B)/tests/sim/simlmdb.o $(B)/tests/sim/simdirectory.o
$(B)/tests/unit/test_store_tree: $(B)/tests/sim/simdisk.o $(B)/tests/sim/simdisk_tree.o
$(B)/tests/unit/test_checker: $(B)/tests/sim/checker.o $(B)/tests/sim/history.o $(B)/tests/sim/simdisk.o $(B)/tests/sim/simdisk_tree.o
$(B)/tests/unit/test_swarm: $(B)/tests/sim/swarm.o $(B)/tests/sim/swarm_names.o

$(B)/dynsim: $(SIM_OBJS) $(LIB_OBJS) $(ARCHIVES)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(SIM_OBJS) $(LIB_OBJS) $(ARCHIVES) $(LIBS)

# Programs that the tests of real processes use.
$(B)/tests/cluster/%: $(B)/tests/cluster/%.o $(ARCHIVES)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(filter %.o,$^) $(ARCHIVES) $(LIBS)

unit-tests: $(UNIT_TESTS)
sim: $(B)/dynsim
test-programs: $(TEST_PROGRAMS)

extension: $(B)/libmodel.a
	$(MAKE) -f fdw/pgxs.mk PG_CONFIG=$(PG_CONFIG) B=$(B)

# Run every test; the last line counts. Nothing is installed but packages.
check: all
	$(MAKE) $(PARALLEL) unit-tests sim test-programs fault-programs $(B)/crash-images
	tests/run

# The regression tests alone, against a private PostgreSQL and three nodes.
installcheck: all
	tests/installcheck

demo: all
	demo/start

demo-stop:
	demo/stop

bench: all
	tests/bench/run

# To $(DESTDIR)$(PREFIX) and to where pg_config says; needs the rights to.
install: all
	$(MAKE) install-daemon
	$(MAKE) -f fdw/pgxs.mk PG_CONFIG=$(PG_CONFIG) B=$(B) install

uninstall:
	$(MAKE) uninstall-daemon
	$(MAKE) -f fdw/pgxs.mk PG_CONFIG=$(PG_CONFIG) B=$(B) uninstall

clean:
	rm -rf build results regression.diffs regression.out tmp_check
	rm -f fdw/*.o fdw/*.bc dynamo_fdw.so

-include $(shell find $(B) -name '*.d' 2>/dev/null)

include dynnode/install.mk
include tests/crash/crash.mk
include tests/fuzz/fuzz.mk
include tests/fault/fault.mk
include tests/sim/sim.mk

.PHONY: all daemon deps unit-tests sim test-programs extension clean check \
        installcheck demo demo-stop bench install uninstall
.SECONDARY:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
