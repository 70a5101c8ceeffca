/*-------------------------------------------------------------------------
 *
 * clock.h
 *      What a clock of the machine shows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_IO_CLOCK_H
#define DYN_IO_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_REALTIME: since 1970. */
uint64_t dyn_clock_us(clockid_t clock);
uint64_t dyn_clock_ms(clockid_t clock);

#endif
