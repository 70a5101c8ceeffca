/*-------------------------------------------------------------------------
 *
 * memory.h
 *      The core's memory: there is some, or the process ends.
 *
 * Every collection of the core has a bound, so memory that runs out is a
 * machine that was promised too much; going on with half an operation would
 * be worse than stopping (node.h: "running out of memory aborts").
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_MEMORY_H
#define DYN_CORE_MEMORY_H

#include "model/types.h"

/* Zeroed; never NULL. */
void *dyn_memory_take(size_t size);
void dyn_memory_give(void *memory);

/* Room for one more item in a growing array; returns where it is now. */
void *dyn_memory_reserve(void *items, uint32_t count, uint32_t *capacity,
						 size_t item_size);

/* The same memory for the functions of model/. */
struct dyn_allocator dyn_memory_allocator(void);

/* uthash takes its tables from here too. */
#define uthash_malloc(size)       dyn_memory_take(size)
#define uthash_free(memory, size) dyn_memory_give(memory)
#include <uthash.h>

#endif
