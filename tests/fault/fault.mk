# Real processes under real faults: tests/fault/run.
#
#   make fault ROUNDS=20 SEED=1      rounds of all classes in turn; a line for
#                                    each is appended to build/fault.csv
#   make fault CLASS=kill_two        one class
#   make fault CLASS=deletes DURATION=600 ROUNDS=1   for so many seconds

FAULT_LIB = $(patsubst %,$(B)/tests/fault/%.o,value journal links final workload workload_read)
FAULT_SIM = $(patsubst %,$(B)/tests/sim/%.o,checker history simdisk simdisk_tree)
FAULT_PROGRAMS = $(patsubst %,$(B)/tests/fault/%,load check hints tapbridge failing_disk.so)
ROUNDS ?= 12

$(B)/tests/fault/%: $(B)/tests/fault/%.o $(FAULT_LIB) $(FAULT_SIM) $(ARCHIVES)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(filter %.o,$^) $(ARCHIVES) $(LIBS)

# It is loaded into programs with sanitizers, too: it has none of its own.
$(B)/tests/fault/failing_disk.so: tests/fault/failing_disk.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -fPIC -fvisibility=hidden $(WARN) -shared -o $@ $< -ldl

$(B)/tests/unit/test_fault_journal: $(FAULT_LIB) $(FAULT_SIM)

fault-programs: $(FAULT_PROGRAMS)

fault: all
	$(MAKE) $(PARALLEL) fault-programs
	CSV=$(B)/fault.csv $(if $(DURATION),DURATION=$(DURATION)) tests/fault/run $(or $(CLASS),all) $(ROUNDS) $(SEED)

.PHONY: fault fault-programs
