# The simulator, beyond what `make check` runs of it.
#
#   make planted            every planted bug must be caught (minutes)
#   make planted NAMES="ack_before_commit read_of_one_owner"
#   make soak HOURS=8       seeds, real faults, fuzzing, crash images, mixed
#   make soak HOURS=1 KINDS="sim fuzz"

HOURS ?= 8

planted: $(B)/dynsim
	tests/sim/planted.sh $(NAMES)

soak: all
	$(MAKE) $(PARALLEL) sim fault-programs $(B)/crash-images
	tests/sim/soak $(HOURS) $(KINDS)

.PHONY: planted soak
