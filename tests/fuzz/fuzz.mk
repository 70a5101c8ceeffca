# Fuzzing of everything that decodes bytes from strangers.
#
#   make fuzz                      a minute for each target
#   make fuzz FUZZ_SECONDS=600 FUZZ_NAMES="node message"
#   make fuzz-corpus               write the seeds anew (tests/fuzz/seeds.c)
#
# What libFuzzer finds on its way stays in $(B)/fuzz/<target>; what it breaks is
# written beside it as crash-<hash>: replay with
#   build/fuzz/fuzz_<target> <file>, mend, and add the file to
# tests/fuzz/corpus/<target>/, which every `make check` feeds to the targets.

FUZZ_SECONDS ?= 60
FUZZ_CC      ?= clang
FUZZ_NAMES   ?= $(patsubst tests/fuzz/target_%.c,%,$(wildcard tests/fuzz/target_*.c))
FUZZ_FLAGS    = -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
                -fno-sanitize-recover=all
F := $(B)/fuzz

FUZZ_PARTS    = $(wildcard tests/fuzz/target_*.c) tests/fuzz/fuzznode.c \
                tests/fuzz/founding.c \
                $(wildcard tests/sim/simstore*.c tests/sim/simdisk*.c)
FUZZ_LIB_OBJS = $(patsubst %.c,$(F)/%.o,$(FUZZ_PARTS) tests/lib/failing.c \
                $(wildcard dynnode/model/*.c dynnode/core/*.c)) \
                $(F)/messages.pb-c.o
FUZZ_PROGRAMS = $(patsubst %,$(F)/fuzz_%,$(FUZZ_NAMES))

$(F)/%.o: %.c | $(B)/gen/messages.pb-c.h
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=c11 -D_GNU_SOURCE $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link \
	  $(CPPFLAGS_ALL) -I. -Itests -Itests/lib -MMD -MP -c -o $@ $<

$(F)/messages.pb-c.o: $(B)/gen/messages.pb-c.c
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=c11 $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(CPPFLAGS_ALL) -c -o $@ $<

$(F)/fuzz_%: tests/fuzz/libfuzzer.c $(FUZZ_LIB_OBJS)
	$(FUZZ_CC) -std=c11 $(FUZZ_FLAGS) -fsanitize=fuzzer -DFUZZ_TARGET=fuzz_$* \
	  -Itests -o $@ $^ -lprotobuf-c -lxxhash -lm

fuzz-programs: $(FUZZ_PROGRAMS)

fuzz: deps
	@command -v $(FUZZ_CC) >/dev/null || { echo "make fuzz needs $(FUZZ_CC) (Debian: clang)" >&2; exit 1; }
	+@$(MAKE) -s $(PARALLEL) fuzz-programs
	@set -e; for name in $(FUZZ_NAMES); do \
	    mkdir -p $(F)/$$name; \
	    echo "== $$name: $(FUZZ_SECONDS) s"; \
	    $(F)/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 \
	        -rss_limit_mb=1024 -use_value_profile=1 -print_final_stats=1 \
	        -artifact_prefix=$(F)/$$name- $(F)/$$name tests/fuzz/corpus/$$name 2>$(F)/$$name.log || \
	        { tail -40 $(F)/$$name.log; exit 1; }; \
	    grep -E 'number_of_executed_units|new_units_added|peak_rss' $(F)/$$name.log; \
	done

# The corpus is replayed with the other unit tests, by the ordinary compiler.
$(B)/tests/unit/test_fuzz_corpus: $(patsubst %.c,$(B)/%.o,$(FUZZ_PARTS))

$(B)/tests/fuzz/seeds: $(B)/tests/fuzz/seeds.o $(ARCHIVES)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(filter %.o,$^) $(ARCHIVES) $(LIBS)

fuzz-corpus: $(B)/tests/fuzz/seeds
	$(B)/tests/fuzz/seeds tests/fuzz/corpus

.PHONY: fuzz fuzz-programs fuzz-corpus
