# The extension, built by PGXS from the top directory:
#   make -f fdw/pgxs.mk B=build
B ?= build
MODULE_big = dynamo_fdw
OBJS = $(patsubst %.c,%.o,$(wildcard fdw/*.c))
EXTENSION = dynamo_fdw
DATA = fdw/dynamo_fdw--1.0.sql
PGFILEDESC = "dynamo_fdw - foreign data wrapper for a Dynamo-style cluster"
PG_CPPFLAGS = -Ifdw -Idynnode -I$(B)/gen
PG_CFLAGS = -Wno-declaration-after-statement $(if $(STRICT),-Werror)
# model/ is linked in, its symbols stay private to the module.
SHLIB_LINK = $(B)/libmodel.a -Wl,--exclude-libs,ALL -lzmq -lprotobuf-c -lxxhash

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
override with_llvm = no
# PGXS looks for what it installs beside the makefile, which lies in fdw/.
VPATH = .
include $(PGXS)
$(MODULE_big).so: $(B)/libmodel.a
# What was built with another PostgreSQL's headers is built again.
BUILT_WITH := $(B)/pg_version
$(shell [ ! -d $(B) ] || $(PG_CONFIG) --version | cmp -s - $(BUILT_WITH) || \
	$(PG_CONFIG) --version >$(BUILT_WITH))
$(OBJS): $(BUILT_WITH) $(wildcard fdw/*.h dynnode/model/*.h $(B)/gen/*.h)
