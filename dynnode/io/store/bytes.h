/*-------------------------------------------------------------------------
 *
 * bytes.h
 *      Numbers in values on disk: little-endian, of any size up to 8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_STORE_BYTES_H
#define DYN_IO_STORE_BYTES_H

#include <stdint.h>

static inline void
dyn_store_put_number(uint8_t *out, uint64_t number, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		out[i] = (uint8_t) (number >> (8 * i));
}

static inline uint64_t
dyn_store_get_number(const uint8_t *in, unsigned size)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < size; i++)
		number |= (uint64_t) in[i] << (8 * i);
	return number;
}

#endif
