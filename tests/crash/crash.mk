# Crash images of the store (tests/crash/crash_images.c).
#
#   make crash-images                        5,000, as make check does
#   make crash-images IMAGES=100000 SEED=77  more, of other seeds

IMAGES ?= 5000
SEED   ?= 1

CRASH_OBJS = $(call objects,tests/crash) $(B)/tests/lib/scratch.o

$(B)/crash-images: $(CRASH_OBJS) $(ARCHIVES)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(CRASH_OBJS) $(ARCHIVES) $(LIBS)

crash-images: $(B)/crash-images
	$(B)/crash-images --images $(IMAGES) --seed $(SEED)

.PHONY: crash-images
